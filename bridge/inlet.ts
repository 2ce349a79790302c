/** What a client sends, told apart: control frames as text, messages as lines that may pass or not. Pure. */
import type { LongLine } from "./lines.ts";
import { Sieve } from "./sieve.ts";
import { isControl, LIMITS } from "./wire.ts";

export interface InletEvents {
  frame(text: string): void;
  longFrame(): void;
  /** Whether the line is to reach the server; called for each that is no control frame. */
  line(bytes: Uint8Array, start: number, end: number, clean: boolean): boolean;
  longLine(line: LongLine): void;
  pass(range: Uint8Array): void;
}

export class Inlet {
  private readonly sieve: Sieve;

  constructor(limitBytes: number, events: InletEvents) {
    this.sieve = new Sieve(
      limitBytes,
      (bytes, start, end, clean) => {
        if (!isControl(bytes, start, end)) return events.line(bytes, start, end, clean);
        this.sieve.flush();
        if (end - start > LIMITS.controlBytes) events.longFrame();
        else events.frame(decoder.decode(bytes.subarray(start, end)));
        return false;
      },
      (range) => events.pass(range),
      (line) => (isControl(line.head, 0, line.head.length) ? events.longFrame() : events.longLine(line)),
    );
  }

  setLimit(limitBytes: number): void {
    this.sieve.setLimit(limitBytes);
  }

  push(chunk: Uint8Array): void {
    this.sieve.push(chunk);
  }

  /** The client sends nothing more: a last line without a newline is a line. */
  end(): void {
    this.sieve.end();
  }
}

const decoder = new TextDecoder();
