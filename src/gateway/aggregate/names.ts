/** The names under which a client sees what servers offer. Pure. */
import { createHash } from "node:crypto";

/** Clients take tool names of `^[a-zA-Z0-9_-]{1,64}$`; whatever is longer, or has other characters, they refuse. */
const NAME_CHARS_MAX = 64;
const HASH_CHARS = 8;
const SEPARATOR = "__";

/**
 * `server__tool`, the same at every time and on every machine. Other characters become `_`; a name that would be too long
 * is cut, and ends in a part of its hash.
 */
export function exposedName(prefix: string | undefined, name: string): string {
  const whole = prefix === undefined ? name : `${prefix}${SEPARATOR}${name}`;
  const clean = whole.replace(/[^a-zA-Z0-9_-]/g, "_");
  if (clean.length <= NAME_CHARS_MAX) return clean;
  const hash = createHash("sha256").update(whole).digest("hex").slice(0, HASH_CHARS);
  return `${clean.slice(0, NAME_CHARS_MAX - HASH_CHARS - 1)}_${hash}`;
}

/** Whether it is a name that this prefix can have led to. */
export function mayComeFrom(prefix: string | undefined, exposed: string): boolean {
  if (prefix === undefined) return true;
  const start = exposedName(prefix, "").slice(0, NAME_CHARS_MAX - HASH_CHARS - 1);
  return exposed.startsWith(start);
}

/** Whether the pattern, in which `*` is any number of any characters, is the whole text. In linear time. */
export function matches(pattern: string, text: string): boolean {
  return matchesPieces(pattern.split("*"), text);
}

/**
 * Of the templates (RFC 6570) that this URI can come from, the one that says most of it; the first one of equals. What
 * stands in braces is taken for any characters, so that no template can make the comparison slow.
 */
export function templateOf<T extends { template: string }>(uri: string, known: Iterable<T>): T | undefined {
  let best: { one: T; literal: number } | undefined;
  for (const one of known) {
    const pieces = one.template.split(/\{[^{}]*\}/);
    const literal = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (literal > (best?.literal ?? -1) && matchesPieces(pieces, uri)) best = { one, literal };
  }
  return best?.one;
}

/** The pieces in their order, with anything between them. */
function matchesPieces(pieces: readonly string[], text: string): boolean {
  const [first = "", ...rest] = pieces;
  const last = rest.pop();
  if (last === undefined) return first === text;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
