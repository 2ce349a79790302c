/** The definition of a tool: whether it is the same as before, what has changed, what is hidden in it. Pure. */
import { createHash } from "node:crypto";
import { DEPTH_MAX } from "../../base/depth.ts";
import type { Difference } from "../../model/approval.ts";
import type { Item } from "./offer.ts";

const DIFFERENCES_MAX = 50;
const VALUE_CHARS_MAX = 500;
const FINDINGS_MAX = 20;
/**
 * Ranges of characters that people do not see and models read. Tab and line ends are left out, as are the joiners U+200C
 * and U+200D, which some languages and many emoji need.
 */
const HIDDEN: [from: number, to: number, name: string][] = [
  [0x00, 0x08, "control character"],
  [0x0b, 0x0c, "control character"],
  [0x0e, 0x1f, "control character"],
  [0x7f, 0x9f, "control character"],
  [0x00ad, 0x00ad, "invisible character"],
  [0x034f, 0x034f, "invisible character"],
  [0x061c, 0x061c, "bidirectional control"],
  [0x115f, 0x1160, "invisible filler"],
  [0x17b4, 0x17b5, "invisible character"],
  [0x180b, 0x180f, "invisible character"],
  [0x200b, 0x200b, "invisible space"],
  [0x200e, 0x200f, "bidirectional control"],
  [0x202a, 0x202e, "bidirectional control"],
  [0x2060, 0x2065, "invisible character"],
  [0x2066, 0x2069, "bidirectional control"],
  [0x206a, 0x206f, "format control"],
  [0x3164, 0x3164, "invisible filler"],
  // The last two are in many emoji.
  [0xfe00, 0xfe0d, "variation selector"],
  [0xfeff, 0xfeff, "invisible space"],
  [0xffa0, 0xffa0, "invisible filler"],
  [0xfff9, 0xfffb, "format control"],
  [0x1d173, 0x1d17a, "format control"],
  [0xe0000, 0xe007f, "tag character"],
  [0xe0100, 0xe01ef, "variation selector"],
];

const hashes = new WeakMap<Item, string>();

/** Without `execution`, which differs between eras and says nothing to a model. */
export function definitionOf(tool: Item): Item {
  const { execution: _, ...shown } = tool;
  return shown;
}

/** Whether they differ in nothing but the schema of their results, which servers of both eras write in two ways. */
export function differInResultsOnly(one: Item, other: Item): boolean {
  const { outputSchema: _one, ...before } = definitionOf(one);
  const { outputSchema: _other, ...after } = definitionOf(other);
  return Bun.deepEquals(before, after);
}

/** Of the raw object, whatever the order of its members. */
export function definitionHash(tool: Item): string {
  const known = hashes.get(tool);
  if (known !== undefined) return known;
  const hash = createHash("sha256")
    .update(JSON.stringify(sorted(definitionOf(tool), 0)))
    .digest("hex");
  hashes.set(tool, hash);
  return hash;
}

function sorted(value: unknown, depth: number): unknown {
  if (depth > DEPTH_MAX || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return ["[", ...value.map((one) => sorted(one, depth + 1))];
  // As pairs: a member called __proto__ is one like any other.
  const pairs = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return ["{", ...pairs.map(([key, one]) => [key, sorted(one, depth + 1)])];
}

/** Where hidden characters are and which, at most 20. */
export function hiddenIn(value: unknown, path = "", depth = 0): string[] {
  if (typeof value === "string") {
    const found = hiddenOf(value);
    return found.length > 0 ? [`${path || "value"}: ${found.join(", ")}`] : [];
  }
  if (depth > DEPTH_MAX || typeof value !== "object" || value === null) return [];
  const found: string[] = [];
  for (const [key, one] of Object.entries(value)) {
    const below = path === "" ? key : `${path}.${key}`;
    if (!Array.isArray(value) && hiddenOf(key).length > 0)
      found.push(`${visible(below)}: a name with ${hiddenOf(key).join(", ")}`);
    found.push(...hiddenIn(one, visible(below), depth + 1));
    if (found.length >= FINDINGS_MAX) break;
  }
  return found.slice(0, FINDINGS_MAX);
}

function hiddenOf(text: string): string[] {
  const found = new Set<string>();
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const range = HIDDEN.find(([from, to]) => code >= from && code <= to);
    if (range) found.add(`${range[2]} U+${code.toString(16).toUpperCase().padStart(4, "0")}`);
    if (found.size >= FINDINGS_MAX) break;
  }
  return [...found];
}

/** The text with what is hidden in it as escapes, so that it can be shown. */
export function visible(text: string): string {
  return [...text]
    .map((character) => {
      const code = character.codePointAt(0) ?? 0;
      const hidden = HIDDEN.some(([from, to]) => code >= from && code <= to);
      return hidden ? `\\u{${code.toString(16)}}` : character;
    })
    .join("");
}

/** What is different, by path; at most 50 places. */
export function differences(before: unknown, after: unknown): Difference[] {
  const found: Difference[] = [];
  compare(before, after, "", 0, found);
  return found;
}

function compare(before: unknown, after: unknown, path: string, depth: number, found: Difference[]): void {
  if (found.length >= DIFFERENCES_MAX || Bun.deepEquals(before, after)) return;
  if (depth < DEPTH_MAX && isObject(before) && isObject(after)) {
    const [old, now] = [new Map(Object.entries(before)), new Map(Object.entries(after))];
    for (const key of new Set([...old.keys(), ...now.keys()])) {
      compare(old.get(key), now.get(key), path === "" ? key : `${path}.${key}`, depth + 1, found);
    }
    return;
  }
  found.push({ path: visible(path), ...shown("before", before), ...shown("after", after) });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(side: "before" | "after", value: unknown): Partial<Difference> {
  if (value === undefined) return {};
  const text = visible(JSON.stringify(value));
  return { [side]: text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text };
}
