/** What all results share: pages of lists, and a bound on their size with a word on how to see the rest. */
import * as v from "valibot";
import { Fault } from "../base/fault.ts";

/** Items of a page where the caller does not say. */
const PAGE_ITEMS = 100;
const PAGE_ITEMS_MAX = 1_000;

/** Arguments of every list. */
export const paging = {
  limit: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(PAGE_ITEMS_MAX), v.description("Items of a page")),
    PAGE_ITEMS,
  ),
  cursor: v.optional(v.pipe(v.string(), v.maxLength(64), v.description("next_cursor of the page before"))),
};

/** Fields of every list's result. */
export const paged = {
  total: v.pipe(v.number(), v.description("Items on all pages")),
  next_cursor: v.optional(v.string()),
};

/** One page. Faults: `invalid` for a cursor that is none of ours. */
export function page<T>(
  items: readonly T[],
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): { items: T[]; total: number; next_cursor?: string } {
  const from = cursor === undefined ? 0 : Number(/^at-(\d{1,9})$/.exec(cursor)?.[1] ?? Number.NaN);
  if (Number.isNaN(from)) {
    throw new Fault("invalid", "the cursor is not one of this list", { hint: "Begin again without a cursor." });
  }
  const until = from + limit;
  const next = until < items.length ? { next_cursor: `at-${until}` } : {};
  return { items: items.slice(from, until), total: items.length, ...next };
}

const TRUNCATED = "truncated";

/** The output schema of a tool: its fields, and the word that `fit` adds. */
export function output<const E extends v.ObjectEntries>(entries: E) {
  return v.object({
    ...entries,
    [TRUNCATED]: v.optional(v.pipe(v.string(), v.description("What was left out, and how to see it"))),
  });
}

/**
 * The same within so many bytes of JSON: the largest list or text at the top loses its end (a text that ends with what is
 * newest, such as a log, its beginning) until it fits.
 */
export function fit(structured: Record<string, unknown>, bytesMax: number): Record<string, unknown> {
  if (sizeOf(structured) <= bytesMax) return structured;
  const cut = { ...structured };
  const dropped = new Map<string, number>();
  const room = bytesMax - 512;
  while (sizeOf(cut) > room) {
    const [name, value] = largest(cut);
    if (name === undefined) break;
    const length = value.length;
    const keep = Math.floor(length / 2);
    cut[name] = typeof value === "string" ? value.slice(length - keep) : value.slice(0, keep);
    dropped.set(name, (dropped.get(name) ?? 0) + length - keep);
    if (keep === 0) break;
  }
  const words = [...dropped].map(([name, count]) => `${count} of ${name}`);
  cut[TRUNCATED] =
    `Left out: ${words.join(", ")}. Ask for less (limit, tail, filters), or raise SAFETY_MAX_RESPONSE_BYTES (${bytesMax}).`;
  if (sizeOf(cut) <= bytesMax) return cut;
  throw new Fault("too-large", `the result has more than ${bytesMax} bytes`, {
    hint: "Ask for less, or raise SAFETY_MAX_RESPONSE_BYTES.",
  });
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

function largest(record: Record<string, unknown>): [string, string | unknown[]] | [undefined, string] {
  let found: [string, string | unknown[]] | undefined;
  let most = 0;
  for (const [name, value] of Object.entries(record)) {
    if (typeof value !== "string" && !Array.isArray(value)) continue;
    const size = sizeOf(value);
    if (size > most && value.length > 0) [found, most] = [[name, value], size];
  }
  return found ?? [undefined, ""];
}
