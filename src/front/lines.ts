/** Looking at lines of the client that are ranges of bytes already. Pure: no I/O. */
import * as v from "valibot";
import { classify, type IdKey } from "../../bridge/envelope.ts";
import { LineSplitter, type OnLine } from "../../bridge/lines.ts";
import { LIMITS } from "../../bridge/wire.ts";
import { parseJson } from "./messages.ts";
import { textOf } from "./setup.ts";

/** A reason for people and a request's id fit into this; a longer notification is another one. */
const CANCEL_BYTES_MAX = 64 * 1024;
const CANCELLED = "notifications/cancelled";
const INITIALIZED = "notifications/initialized";
const ID = Buffer.from('"id"');

/** Every whole line in the ranges. */
export function eachLine(ranges: readonly Uint8Array[], onLine: OnLine): void {
  const splitter = new LineSplitter(LIMITS.messageBytesMax, () => {});
  for (const range of ranges) splitter.push(range, onLine);
}

/** The client's open requests and its notifications among bytes that were sent; not its answers, which were for the last process. */
export function askedIn(
  ranges: readonly Uint8Array[],
  isOpen: (id: IdKey) => boolean,
): { ids: Set<IdKey>; lines: Uint8Array[] } {
  const ids = new Set<IdKey>();
  const lines: Uint8Array[] = [];
  eachLine(ranges, (bytes, start, end) => {
    const envelope = classify(bytes, start, end);
    const own = envelope.kind === "request" && isOpen(envelope.id);
    if (own) ids.add(envelope.id);
    const notice = envelope.kind === "notification" && !isInitialized(bytes, start, end);
    if (own || notice) lines.push(bytes.subarray(start, end + 1));
  });
  return { ids, lines };
}

/** What has no id answers and asks nothing: that saves the parser for most notifications. */
export function hasId(bytes: Uint8Array, start: number, end: number): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).includes(ID);
}

/** Of a notification: whether it ends the older handshake. */
export function isInitialized(bytes: Uint8Array, start: number, end: number): boolean {
  return textOf(bytes, start, end).includes(INITIALIZED);
}

/** The request that a notification takes back; undefined for any other. */
export function cancelledId(bytes: Uint8Array, start: number, end: number): IdKey | undefined {
  if (end - start > CANCEL_BYTES_MAX) return undefined;
  const text = textOf(bytes, start, end);
  if (!text.includes(CANCELLED)) return undefined;
  const parsed = v.safeParse(cancellation, parseJson(text));
  if (!parsed.success) return undefined;
  const { requestId } = parsed.output.params;
  return typeof requestId === "string" ? `"${requestId}` : requestId;
}

const cancellation = v.object({
  method: v.literal(CANCELLED),
  params: v.object({ requestId: v.union([v.string(), v.number()]) }),
});
