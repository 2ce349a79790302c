/**
 * Finds values in the bytes of a JSON object, so that some of them can be replaced and all others stay as they were
 * written: no number is rounded, no name is lost. Pure. For JSON that a parser has accepted, or that is as good as that.
 */

/** `bytes[start]` up to, but not with, `bytes[end]`. */
export interface Span {
  start: number;
  end: number;
}

export interface Member extends Span {
  name: string;
  /** The first quote of its name. */
  nameStart: number;
}

/** Names and most values end sooner. */
const NEAR_BYTES = 32;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;

/** The members of the object at `span`, in order and with those that have one name; undefined if it is no whole object. */
export function membersOf(bytes: Uint8Array, { start, end }: Span): Member[] | undefined {
  let at = skipSpace(bytes, start, end);
  if (bytes[at] !== OPEN) return undefined;
  const members: Member[] = [];
  at = skipSpace(bytes, at + 1, end);
  if (bytes[at] === CLOSE) return isOver(bytes, at + 1, end) ? members : undefined;
  for (;;) {
    const nameStart = at;
    const nameEnd = bytes[at] === QUOTE ? endOfValue(bytes, at, end) : -1;
    if (nameEnd < 0) return undefined;
    at = skipSpace(bytes, nameEnd, end);
    if (bytes[at] !== COLON) return undefined;
    const valueStart = skipSpace(bytes, at + 1, end);
    const valueEnd = endOfValue(bytes, valueStart, end);
    if (valueEnd < 0) return undefined;
    members.push({ name: stringAt(bytes, nameStart, nameEnd), nameStart, start: valueStart, end: valueEnd });
    at = skipSpace(bytes, valueEnd, end);
    if (bytes[at] === CLOSE) return isOver(bytes, at + 1, end) ? members : undefined;
    if (bytes[at] !== COMMA) return undefined;
    at = skipSpace(bytes, at + 1, end);
  }
}

/** The elements of the array at `span`; undefined if it is no whole array. */
export function elementsOf(bytes: Uint8Array, { start, end }: Span): Span[] | undefined {
  let at = skipSpace(bytes, start, end);
  if (bytes[at] !== OPEN_LIST) return undefined;
  const elements: Span[] = [];
  at = skipSpace(bytes, at + 1, end);
  if (bytes[at] === CLOSE_LIST) return isOver(bytes, at + 1, end) ? elements : undefined;
  for (;;) {
    const valueEnd = endOfValue(bytes, at, end);
    if (valueEnd < 0) return undefined;
    elements.push({ start: at, end: valueEnd });
    at = skipSpace(bytes, valueEnd, end);
    if (bytes[at] === CLOSE_LIST) return isOver(bytes, at + 1, end) ? elements : undefined;
    if (bytes[at] !== COMMA) return undefined;
    at = skipSpace(bytes, at + 1, end);
  }
}

/** The bytes as text. */
export function textAt(bytes: Uint8Array, { start, end }: Span): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
}

/** The string that is written there; undefined for another value. */
export function stringOf(bytes: Uint8Array, span: Span): string | undefined {
  return bytes[span.start] === QUOTE ? stringAt(bytes, span.start, span.end) : undefined;
}

function stringAt(bytes: Uint8Array, start: number, end: number): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start + 1, end - start - 2).toString();
  if (!text.includes("\\")) return text;
  try {
    return String(JSON.parse(`"${text}"`));
  } catch {
    return text;
  }
}

function isOver(bytes: Uint8Array, at: number, end: number): boolean {
  return skipSpace(bytes, at, end) === end;
}

function skipSpace(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && (bytes[at] ?? 0) <= 0x20) at++;
  return at;
}

/** The end of the value at `at`; -1 if it does not end before `end`. What is inside is only balanced, not checked. */
function endOfValue(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at];
  if (first === QUOTE) return endOfString(bytes, at, end);
  if (first === OPEN || first === OPEN_LIST) return endOfNest(bytes, at, end);
  let to = at;
  while (to < end && !isDelimiter(bytes[to] ?? 0)) to++;
  return to === at ? -1 : to;
}

function isDelimiter(byte: number): boolean {
  return (
    byte <= 0x20 ||
    byte === COMMA ||
    byte === COLON ||
    byte === QUOTE ||
    (byte | 0x20) === CLOSE ||
    (byte | 0x20) === OPEN
  );
}

function endOfString(bytes: Uint8Array, at: number, end: number): number {
  const near = Math.min(end, at + NEAR_BYTES);
  let i = at + 1;
  for (; i < near; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) return i + 1;
    if (byte === BACKSLASH) i++;
  }
  // The native search pays for long strings only. `i` is not inside an escape.
  for (let quote = bytes.indexOf(QUOTE, i); quote >= 0 && quote < end; quote = bytes.indexOf(QUOTE, quote + 1)) {
    let first = quote;
    while (first > i && bytes[first - 1] === BACKSLASH) first--;
    if ((quote - first) % 2 === 0) return quote + 1;
  }
  return -1;
}

function endOfNest(bytes: Uint8Array, at: number, end: number): number {
  let depth = 0;
  for (let i = at; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === QUOTE) {
      i = endOfString(bytes, i, end) - 1;
      if (i < 0) return -1;
    } else if ((byte | 0x20) === OPEN) depth++;
    else if ((byte | 0x20) === CLOSE && --depth === 0) return i + 1;
  }
  return -1;
}
