/**
 * Splits what a bridge sends into payload and control frames. Pure: no I/O.
 *
 * Payload comes out as ranges of whole lines, as long as they can be: a client must never be left with half a message
 * when the connection is lost, and after a resume the bridge sends a message again that has come only in part.
 */
import { LineSplitter, type OnLine, RangeJoiner } from "../../bridge/lines.ts";
import { isControl, LIMITS } from "../../bridge/wire.ts";

export interface InboundEvents {
  /** Whole lines with their newlines; the bytes may be kept. */
  payload(range: Uint8Array): void;
  /** A control frame without its newline. */
  control(line: string): void;
  /** A line is longer than any wire allows. Called once; nothing more is to be pushed. */
  overlong(): void;
}

export class Inbound {
  /** JSON-RPC messages received completely. */
  messages = 0;
  private readonly lines: LineSplitter;
  private readonly joined: RangeJoiner;

  constructor(private readonly events: InboundEvents) {
    this.lines = new LineSplitter(LIMITS.messageBytesMax, ({ ended }) => {
      if (!ended) events.overlong();
    });
    this.joined = new RangeJoiner((range) => events.payload(range));
  }

  /** The chunk belongs to this object from now on. */
  push(chunk: Uint8Array): void {
    this.lines.push(chunk, this.onLine);
    this.joined.flush();
  }

  private readonly onLine: OnLine = (bytes, start, end) => {
    if (isControl(bytes, start, end)) {
      this.joined.flush();
      if (end - start > LIMITS.controlBytes) this.events.overlong();
      else this.events.control(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString());
      return;
    }
    this.messages += 1;
    this.joined.add(bytes, start, end);
  };
}

/** The messages of a range; it is whole lines, so one decode serves all of them. */
export function messagesOf(range: Uint8Array): string[] {
  const text = Buffer.from(range.buffer, range.byteOffset, range.byteLength).toString();
  return text.split("\n").filter((line) => line !== "");
}
