/**
 * Reads the envelope of a JSON-RPC message from the two ends of its line, without parsing what is between.
 *
 * The usual shapes are recognised at the two ends of the line, where the envelope is: `{"jsonrpc":"2.0","id":1,…` and
 * `…,"jsonrpc":"2.0","id":1}`. Why that is sound, for a line that is valid JSON whose top-level names are unique:
 *
 * - Forwards from `{`, each token is read as a parser would read it; the walk stops at the first member that is not
 *   `jsonrpc`, `id` or `method`. `result` and `error` stop it too, but tell that the message is an answer.
 * - Backwards: the last byte of an object is the `}` that closes it, so what touches it on the left lies outside of
 *   strings and directly in the top-level object. A number there is a whole token. A `"` there closes a string, which
 *   was opened by the nearest `"` to the left that no `\` precedes. A `:` left of the value, and the name left of it,
 *   follow by the same argument, and the `,` in front of the name puts the next member in the same position.
 * - That a member is absent cannot be seen from the ends. Whatever the ends leave open is decided by JSON.parse.
 *
 * So the inside of a message is not validated here; its reader does that.
 */

/**
 * An id as a key of a Map, type-strict. A safe integer is a number (`1` and `1.0` are the same id); a string is itself
 * behind a `"`; another number (`9007199254740993`, `1.5`) is its own text; null is `null`.
 */
export type IdKey = number | string;

export const NULL_ID: IdKey = "null";

const CLOSE = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const NAMES = {
  jsonrpc: encoder.encode('"jsonrpc"'),
  id: encoder.encode('"id"'),
  method: encoder.encode('"method"'),
  result: encoder.encode('"result"'),
  error: encoder.encode('"error"'),
};
const TWO = encoder.encode('"2.0"');
const NULL = encoder.encode("null");

/** `{"jsonrpc":"2.0","id":`: how most messages begin that no JavaScript program wrote. */
const USUAL = encoder.encode('{"jsonrpc":"2.0","id":');

/** What the ends of a message have told so far. */
export class Seen {
  jsonrpc = false;
  method = false;
  answer: "result" | "error" | undefined;
  id: IdKey | undefined;
  /** Where the id's value stands: from the first byte up to the second. */
  idStart = 0;
  idEnd = 0;
  /** All members were read, so what was not seen is not there. */
  whole = false;

  get complete(): boolean {
    if (!this.jsonrpc || !(this.method || this.answer)) return false;
    return this.id !== undefined || (this.whole && this.method);
  }
}

const seen = new Seen();

/**
 * The envelope of a whole message from `first` (its `{`) to `last` (its `}`), or undefined where only a parser can tell.
 * The object is the same each time: it is to be read before the next call, and saves two allocations per message.
 */
export function glance(bytes: Uint8Array, first: number, last: number): Seen | undefined {
  seen.jsonrpc = seen.method = seen.whole = false;
  seen.id = seen.answer = undefined;
  if (readUsual(seen, bytes, first, last)) return seen;
  if (readHead(seen, bytes, first + 1, last)) return undefined;
  if (!seen.complete) readTail(seen, bytes, first + 1, last);
  return seen.complete ? seen : undefined;
}

/** The commonest shape, without looking at more than it takes: a small number as id, then what tells the kind. */
function readUsual(seen: Seen, bytes: Uint8Array, first: number, last: number): boolean {
  if (!matches(bytes, first, last, USUAL)) return false;
  const start = first + USUAL.length;
  let at = start;
  let id = 0;
  for (; at < last; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) break;
    id = id * 10 + digit;
  }
  const digits = at - start;
  if (digits === 0 || digits > 15 || (digits > 1 && bytes[start] === 0x30) || bytes[at] !== COMMA) return false;
  const name = nameAt(bytes, at + 1, last);
  if (name === undefined || name === "id" || name === "jsonrpc") return false;
  const colon = at + 1 + NAMES[name].length;
  if (bytes[colon] !== COLON) return false;
  if (name === "method") {
    if (bytes[colon + 1] !== QUOTE) return false;
    seen.method = true;
  } else seen.answer = name;
  seen.jsonrpc = true;
  seen.id = id;
  seen.idStart = start;
  seen.idEnd = at;
  return true;
}

/** Reads members from the left until one is not simple. True if it has met something that only a parser can judge. */
export function readHead(seen: Seen, bytes: Uint8Array, from: number, end: number): boolean {
  let at = from;
  for (;;) {
    at = forwards(bytes, at, end);
    const name = nameAt(bytes, at, end);
    if (!name) return false;
    at = forwards(bytes, at + NAMES[name].length, end);
    if (bytes[at] !== COLON) return true;
    at = forwards(bytes, at + 1, end);
    if (name === "result" || name === "error") {
      seen.answer = name;
      return false;
    }
    const valueEnd = endOfValue(bytes, at, end);
    if (valueEnd < 0 || !take(seen, name, bytes, at, valueEnd)) return true;
    at = forwards(bytes, valueEnd, end);
    if (at === end) {
      // `end` is the closing brace of a whole message; in an excerpt it is a cut.
      seen.whole = bytes[end] === CLOSE;
      return false;
    }
    if (bytes[at] !== COMMA) return true;
    at++;
  }
}

/** Reads members from the right of `from`…`end` (where the closing brace is) until one is not simple. */
export function readTail(seen: Seen, bytes: Uint8Array, from: number, end: number): void {
  let right = end;
  while (!seen.complete) {
    const last = backwards(bytes, from, right);
    const valueStart = startOfValue(bytes, from, last);
    if (valueStart < 0) return;
    const colon = backwards(bytes, from, valueStart);
    if (bytes[colon] !== COLON) return;
    const nameLast = backwards(bytes, from, colon);
    const name = nameEndingAt(bytes, from, nameLast);
    if (!name) return;
    const nameStart = nameLast + 1 - NAMES[name].length;
    const comma = backwards(bytes, from, nameStart);
    if (bytes[comma] !== COMMA) return;
    if (!take(seen, name, bytes, valueStart, last + 1)) return;
    right = comma;
  }
}

/** Notes a member. False if its value is not of a usual kind, or if there was one of that name already. */
function take(seen: Seen, name: "jsonrpc" | "id" | "method", bytes: Uint8Array, start: number, end: number): boolean {
  if (name === "id") {
    if (seen.id !== undefined) return false;
    seen.id = idAt(bytes, start, end);
    seen.idStart = start;
    seen.idEnd = end;
    return seen.id !== undefined;
  }
  if (name === "method") {
    if (seen.method || bytes[start] !== QUOTE) return false;
    seen.method = true;
    return true;
  }
  if (seen.jsonrpc || !matches(bytes, start, end, TWO)) return false;
  seen.jsonrpc = true;
  return true;
}

function nameAt(bytes: Uint8Array, at: number, end: number): keyof typeof NAMES | undefined {
  if (bytes[at] !== QUOTE) return undefined;
  switch (bytes[at + 1]) {
    case 0x6a:
      return matches(bytes, at, end, NAMES.jsonrpc) ? "jsonrpc" : undefined;
    case 0x69:
      return matches(bytes, at, end, NAMES.id) ? "id" : undefined;
    case 0x6d:
      return matches(bytes, at, end, NAMES.method) ? "method" : undefined;
    case 0x72:
      return matches(bytes, at, end, NAMES.result) ? "result" : undefined;
    case 0x65:
      return matches(bytes, at, end, NAMES.error) ? "error" : undefined;
    default:
      return undefined;
  }
}

/** A name whose closing quote is at `last`. No name ends in a backslash, so that quote is not an escaped one. */
function nameEndingAt(bytes: Uint8Array, from: number, last: number): "jsonrpc" | "id" | "method" | undefined {
  for (const name of ["id", "jsonrpc", "method"] as const) {
    const start = last + 1 - NAMES[name].length;
    if (start >= from && matches(bytes, start, last + 1, NAMES[name])) return name;
  }
  return undefined;
}

/** The end of the string without escapes, the number or the null at `at`; -1 for any other value. */
function endOfValue(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at] === QUOTE) {
    for (let i = at + 1; i < end; i++) {
      const byte = bytes[i] ?? 0;
      if (byte === QUOTE) return i + 1;
      if (byte === BACKSLASH || byte < 0x20) return -1;
    }
    return -1;
  }
  if (matches(bytes, at, end, NULL)) return at + NULL.length;
  let i = at;
  while (i < end && isNumeric(bytes[i] ?? 0)) i++;
  // A number that touches the end of an excerpt may be cut.
  return i === at || (i === end && bytes[end] !== CLOSE) ? -1 : i;
}

/** The start of the string without escapes, the number or the null that ends at `last`; -1 for any other value. */
function startOfValue(bytes: Uint8Array, from: number, last: number): number {
  if (bytes[last] === QUOTE) {
    for (let i = last - 1; i >= from; i--) {
      const byte = bytes[i] ?? 0;
      if (byte === QUOTE) return bytes[i - 1] === BACKSLASH ? -1 : i;
      if (byte === BACKSLASH || byte < 0x20) return -1;
    }
    return -1;
  }
  const word = last + 1 - NULL.length;
  if (word > from && matches(bytes, word, last + 1, NULL)) return word;
  let i = last;
  while (i >= from && isNumeric(bytes[i] ?? 0)) i--;
  return i === last ? -1 : i + 1;
}

function isNumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x2b || byte === 0x2e || (byte | 0x20) === 0x65;
}

/** The id that is written there, or undefined where it is none (then a parser decides). */
function idAt(bytes: Uint8Array, start: number, end: number): IdKey | undefined {
  let integer = 0;
  let i = start;
  // Fifteen digits are always a safe integer.
  for (; i < end && end - start <= 15; i++) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) break;
    integer = integer * 10 + digit;
  }
  if (i === end && (bytes[start] !== 0x30 || end - start === 1)) return integer;
  const text = decoder.decode(bytes.subarray(start, end));
  if (bytes[start] === QUOTE) return text.slice(0, -1);
  if (text === "null") return NULL_ID;
  return JSON_NUMBER.test(text) ? numberKey(text) : undefined;
}

const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;

export function numberKey(text: string): IdKey {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : text;
}

function matches(bytes: Uint8Array, at: number, end: number, pattern: Uint8Array): boolean {
  if (at + pattern.length > end) return false;
  for (let i = 0; i < pattern.length; i++) if (bytes[at + i] !== pattern[i]) return false;
  return true;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a;
}

/** The first index from `at` that is no white space; `end` if there is none. */
export function forwards(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && isSpace(bytes[i])) i++;
  return i;
}

/** The last index before `end` that is no white space; `from - 1` if there is none. */
export function backwards(bytes: Uint8Array, from: number, end: number): number {
  let i = end - 1;
  while (i >= from && isSpace(bytes[i])) i--;
  return i;
}
