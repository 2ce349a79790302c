/**
 * What one end of a session has sent and the other has not acknowledged, in order, so that it can be sent again on a
 * new connection. Pure; both ends use it. Messages are lines that are no control frames, as the receiver counts them.
 *
 * Bytes are kept as they were given, not copied, and need not begin or end with a line.
 */
import { CONTROL_PREFIX } from "./wire.ts";

const NEWLINE = 0x0a;
/** What a kept range costs beside its bytes, so that many tiny messages are bounded, too. */
const RANGE_BYTES = 128;

const prefix = new TextEncoder().encode(CONTROL_PREFIX);

interface Range {
  bytes: Uint8Array;
  /** Messages completed at its end, over the whole session. */
  upTo: number;
  /** Where in a line it begins, see `matched`. */
  begins: number;
}

export class Replay {
  /** Messages sent completely. */
  sent = 0;
  /** Messages that are not kept any more: acknowledged, or given up. */
  dropped = 0;
  /** Bytes kept, with their overhead. */
  keptBytes = 0;
  /** Bytes of the unfinished message at the end; they can only be acknowledged once it is finished. */
  openBytes = 0;
  private ranges: Range[] = [];
  /** How many bytes of the line at the end are the control prefix; -1 once it is no control frame. */
  private matched = 0;

  /** `lineBytesMax`: what is kept of one line, roughly; a longer one is refused by the receiver in any case. */
  constructor(private readonly lineBytesMax = Number.POSITIVE_INFINITY) {}

  /** The last byte was no newline: a control frame must not be sent now. */
  get midLine(): boolean {
    return this.openBytes > 0;
  }

  /** The bytes are part of the conversation from now on, whether or not a connection has taken them. */
  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const begins = this.matched;
    const openBefore = this.openBytes;
    this.scan(bytes);
    this.keep(openBefore > this.lineBytesMax ? withoutLine(bytes) : bytes, begins);
  }

  /** The receiver has `count` messages. False if that cannot be: it was never sent so many. */
  acknowledge(count: number): boolean {
    if (count > this.sent) return false;
    if (count > this.dropped) this.dropTo(count);
    return true;
  }

  /** Why a receiver that has `received` messages cannot be sent what it lacks. */
  gap(received: number): string | undefined {
    const { sent, dropped } = this;
    if (received > sent) return `only ${sent} messages were sent, not ${received}`;
    if (received >= dropped) return undefined;
    return `messages ${received + 1} to ${dropped} were not acknowledged in time and are not kept any more`;
  }

  /** Gives up the oldest until at most `bytes` are kept; the session can then not be resumed by who lacks them. */
  giveUp(bytes: number): void {
    let left = this.keptBytes;
    let upTo = this.dropped;
    for (const range of this.ranges) {
      if (left <= bytes) break;
      left -= range.bytes.length + RANGE_BYTES;
      upTo = range.upTo;
    }
    if (upTo > this.dropped) this.dropTo(upTo);
  }

  /** All that follows the messages dropped so far, the unfinished one included. */
  pending(): Uint8Array[] {
    const [first, ...others] = this.ranges;
    if (!first) return [];
    return [afterMessages(first, this.dropped - this.startsAt), ...others.map(({ bytes }) => bytes)];
  }

  /** Messages completed before the first range. */
  private startsAt = 0;

  private scan(bytes: Uint8Array): void {
    let lineStart = -this.openBytes;
    let at = 0;
    while (at < bytes.length) {
      while (this.matched >= 0 && this.matched < prefix.length && at < bytes.length) {
        if (bytes[at] === prefix[this.matched]) {
          this.matched++;
          at++;
        } else this.matched = -1;
      }
      const end = bytes.indexOf(NEWLINE, at);
      if (end < 0) break;
      if (this.matched < prefix.length) this.sent++;
      this.matched = 0;
      at = end + 1;
      lineStart = at;
    }
    this.openBytes = bytes.length - lineStart;
  }

  private keep(bytes: Uint8Array, begins: number): void {
    if (bytes.length === 0) return;
    // A small range must not keep a large chunk alive. (Not slice: a Buffer's is a view.)
    const own = bytes.length * 2 < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes;
    this.ranges.push({ bytes: own, upTo: this.sent, begins });
    this.keptBytes += own.length + RANGE_BYTES;
  }

  private dropTo(count: number): void {
    this.dropped = count;
    let whole = 0;
    for (const range of this.ranges) {
      if (range.upTo > count) break;
      if (range.upTo === count && range.bytes[range.bytes.length - 1] !== NEWLINE) {
        this.cutToOpen(range);
        break;
      }
      this.startsAt = range.upTo;
      this.keptBytes -= range.bytes.length + RANGE_BYTES;
      whole++;
    }
    if (whole > 0) this.ranges.splice(0, whole);
  }

  /** Of a range whose messages are all acknowledged only the beginning of the next one is left. */
  private cutToOpen(range: Range): void {
    const start = range.bytes.lastIndexOf(NEWLINE) + 1;
    this.startsAt = range.upTo;
    if (start === 0) return;
    this.keptBytes -= start;
    range.bytes = range.bytes.subarray(start);
    range.begins = 0;
  }
}

/** What follows a line that is too long to be kept as a whole, its newline included. */
function withoutLine(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(NEWLINE);
  return end < 0 ? bytes.subarray(bytes.length) : bytes.subarray(end);
}

/** The range behind its first `count` messages. */
function afterMessages({ bytes, begins }: Range, count: number): Uint8Array {
  let start = 0;
  let matched = begins;
  for (let seen = 0; seen < count;) {
    let at = start;
    while (matched >= 0 && matched < prefix.length && bytes[at] === prefix[matched]) {
      matched++;
      at++;
    }
    if (matched < prefix.length) seen++;
    matched = 0;
    start = bytes.indexOf(NEWLINE, at) + 1;
  }
  return bytes.subarray(start);
}
