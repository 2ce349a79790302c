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

/** By their words: an engine gives them in another order each time, and pages of that would miss some. */
export function inOrder<T>(items: readonly T[], words: (item: T) => string): T[] {
  return items
    .map((item) => [words(item), item] as const)
    .toSorted(([left], [right]) => (left < right ? -1 : Number(left > right)))
    .map(([, item]) => item);
}

/** For `inOrder`. */
export function newestFirst({ Created, Id }: { Created: number; Id: string }): string {
  return `${String(1e12 - Created).padStart(13, "0")} ${Id}`;
}

const TRUNCATED = "truncated";

/** The output schema of a tool: its fields, and the word that `fit` adds. */
export function output<const E extends v.ObjectEntries>(entries: E) {
  return v.object({
    ...entries,
    [TRUNCATED]: v.optional(v.pipe(v.string(), v.description("What was left out, and how to see it"))),
  });
}

/** Lists and texts that end with what is newest. */
const NEWEST_LAST = new Set(["lines", "log", "last_log", "stdout", "stderr"]);

/**
 * The same within so many bytes of JSON, structure and text together, with a word in both on what was left out. `say`: the
 * text of what is left of the structure.
 */
export function bounded<T extends { structured: Record<string, unknown>; text: string }>(
  outcome: T,
  bytesMax: number,
  say: (structured: Record<string, unknown>) => string | undefined,
): T {
  const { text } = outcome;
  if (sizeOf(outcome.structured) + sizeOf(text) <= bytesMax) return outcome;
  // Both say the same: half for each, unless the text needs less.
  const room = Math.max(bytesMax - sizeOf(text), Math.ceil(bytesMax / 2));
  const structured = fit(outcome.structured, room, bytesMax);
  // Of a list of one long item nothing is left; the text has its beginning and its end.
  const emptied = Object.entries(structured).some(
    ([name, value]) => isEmpty(value) && !isEmpty(outcome.structured[name]),
  );
  const said = structured === outcome.structured || emptied ? undefined : say(structured);
  const left = said === undefined ? text : `${said}\n${String(structured[TRUNCATED])}`;
  return { ...outcome, structured, text: clip(left, bytesMax - sizeOf(structured), bytesMax) };
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** A text within so many bytes of JSON: its middle goes, because it begins with what it is and may end with what is newest. */
export function clip(text: string, room: number, bytesMax = room): string {
  let clipped = text;
  for (let keep = Math.min(text.length, room); sizeOf(clipped) > room && keep > 0;) {
    keep = Math.floor(keep * 0.8);
    const half = Math.floor(keep / 2);
    const note = `[Left out: ${text.length - 2 * half} characters. Ask for less, or raise SAFETY_MAX_RESPONSE_BYTES (${bytesMax}).]`;
    clipped = [text.slice(0, half), note, text.slice(text.length - half)].join("\n").toWellFormed();
  }
  return clipped;
}

/**
 * The largest list or text at the top loses its end (one that ends with what is newest, such as a log, its beginning)
 * until the whole has room.
 */
function fit(structured: Record<string, unknown>, size: number, bytesMax: number): Record<string, unknown> {
  if (sizeOf(structured) <= size) return structured;
  const cut = { ...structured };
  const dropped = new Map<string, number>();
  const room = size - Math.min(512, Math.floor(size / 2));
  while (sizeOf(cut) > room) {
    const [name, value] = largest(cut);
    if (name === undefined) break;
    const length = value.length;
    const keep = Math.floor(length / 2);
    cut[name] = NEWEST_LAST.has(name) ? value.slice(length - keep) : value.slice(0, keep);
    dropped.set(name, (dropped.get(name) ?? 0) + length - keep);
    if (keep === 0) break;
  }
  const words = [...dropped].map(([name, count]) => `${count} of ${name}`);
  cut[TRUNCATED] =
    `Left out: ${words.join(", ")}. Ask for less (limit, tail, filters), or raise SAFETY_MAX_RESPONSE_BYTES (${bytesMax}).`;
  if (sizeOf(cut) <= size) return cut;
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
