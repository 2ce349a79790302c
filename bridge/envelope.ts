/**
 * What a line is (request, answer, …) and which id it has, read from its bytes. Pure; nothing is parsed that need not
 * be, because every message on every hop passes here.
 */
import { type IdKey, NULL_ID, Seen, backwards, forwards, glance, numberKey, readHead, readTail } from "./ends.ts";

export { type IdKey, NULL_ID };

export type Envelope =
  | { kind: "request"; id: IdKey }
  /** An answer: result or error. */
  | { kind: "response"; id: IdKey; error: boolean }
  | { kind: "notification" }
  /** A JSON-RPC batch, which only the protocol version 2025-03-26 has. */
  | { kind: "batch"; items: Envelope[] }
  /** JSON, but no JSON-RPC 2.0 message. */
  | { kind: "other" }
  /** Nothing but white space. */
  | { kind: "blank" }
  /** No JSON. */
  | { kind: "invalid" };

/** The kind and the id of the message in `bytes` from `start` up to `end` (newline excluded). */
export function classify(bytes: Uint8Array, start: number, end: number): Envelope {
  const first = forwards(bytes, start, end);
  if (first === end) return { kind: "blank" };
  const last = backwards(bytes, first, end);
  if (bytes[first] === OPEN && bytes[last] === CLOSE) {
    const seen = glance(bytes, first, last);
    if (seen) return envelopeSeen(seen);
  }
  return parse(bytes, first, last + 1);
}

/** The same for a message of which only both ends are there; undefined where they do not tell. */
export function classifyEnds(head: Uint8Array, tail: Uint8Array): Envelope | undefined {
  const first = forwards(head, 0, head.length);
  const last = backwards(tail, 0, tail.length);
  if (head[first] !== OPEN || tail[last] !== CLOSE) return undefined;
  const seen = new Seen();
  if (readHead(seen, head, first + 1, head.length)) return undefined;
  if (!seen.complete) readTail(seen, tail, 0, last);
  return seen.complete ? envelopeSeen(seen) : undefined;
}

/** Which request a client's notification gives up; undefined if it is about something else. */
export function cancelledId(bytes: Uint8Array, start: number, end: number): IdKey | undefined {
  if (end - start > CANCEL_BYTES_MAX) return undefined;
  const text = decoder.decode(bytes.subarray(start, end));
  // Notifications are many and seldom this one: spare the parser.
  if (!text.includes("cancelled")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value) || own(value, "method") !== "notifications/cancelled") return undefined;
    const params = own(value, "params");
    return isRecord(params) ? keyOf(own(params, "requestId")) : undefined;
  } catch {
    // Its ends looked like a message.
    return undefined;
  }
}

/** The reason in it is free text, but short. */
const CANCEL_BYTES_MAX = 4 * 1024;

/** The id as it is written in JSON. */
export function idText(id: IdKey): string {
  if (typeof id === "number") return String(id);
  return id.startsWith('"') ? JSON.stringify(id.slice(1)) : id;
}

const OPEN = 0x7b;
const CLOSE = 0x7d;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function envelopeSeen(seen: Seen): Envelope {
  if (seen.id === undefined) return { kind: "notification" };
  if (seen.answer) return { kind: "response", id: seen.id, error: seen.answer === "error" };
  return { kind: "request", id: seen.id };
}

function parse(bytes: Uint8Array, start: number, end: number): Envelope {
  // A log line seldom looks like JSON: spare the parser (and its exception) where the first byte tells.
  const first = bytes[start];
  if (first === undefined || !STARTS.includes(first)) return { kind: "invalid" };
  const text = decoder.decode(bytes.subarray(start, end));
  try {
    const value: unknown = JSON.parse(text);
    if (hasLargeId(value)) return envelopeOf(JSON.parse(text, keepNumberText));
    return envelopeOf(value);
  } catch {
    return { kind: "invalid" };
  }
}

/** The first bytes of JSON values: `{ [ " -`, digits, `t f n`. */
const STARTS = encoder.encode('{["-0123456789tfn');

function envelopeOf(value: unknown): Envelope {
  if (Array.isArray(value)) {
    const items = value.map((item) => (Array.isArray(item) ? OTHER : envelopeOf(item)));
    const empty = items.every((item) => item.kind === "other");
    return empty ? OTHER : { kind: "batch", items };
  }
  if (!isRecord(value) || own(value, "jsonrpc") !== "2.0") return OTHER;
  const id = keyOf(own(value, "id"));
  if (typeof own(value, "method") === "string") {
    if (!Object.hasOwn(value, "id")) return { kind: "notification" };
    return id === undefined ? OTHER : { kind: "request", id };
  }
  const error = Object.hasOwn(value, "error");
  if (id === undefined || !(error || Object.hasOwn(value, "result"))) return OTHER;
  return { kind: "response", id, error };
}

const OTHER: Envelope = { kind: "other" };

function keyOf(id: unknown): IdKey | undefined {
  if (typeof id === "string") return `"${id}`;
  if (typeof id === "number") return numberKey(String(id));
  if (id === null) return NULL_ID;
  return id instanceof NumberText ? numberKey(id.text) : undefined;
}

/** A number that a double does not hold exactly, as it was written. */
class NumberText {
  constructor(readonly text: string) {}
}

function keepNumberText(name: string, value: unknown, context?: { source?: string }): unknown {
  return name === "id" && typeof value === "number" && context?.source ? new NumberText(context.source) : value;
}

function hasLargeId(value: unknown): boolean {
  if (Array.isArray(value)) return value.some((item) => !Array.isArray(item) && hasLargeId(item));
  if (!isRecord(value)) return false;
  const id = own(value, "id");
  return typeof id === "number" && !Number.isSafeInteger(id);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function own(value: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}
