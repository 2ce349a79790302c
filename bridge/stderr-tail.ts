/** A server's stderr: whole lines for the log, the last of them for the report of its end. Pure: no I/O. */
import { LineSplitter, type LongLine, RangeJoiner } from "./lines.ts";
import { LIMITS } from "./wire.ts";

export class StderrTail {
  private readonly splitter: LineSplitter;
  private readonly joiner: RangeJoiner;
  private last: Uint8Array[] = [];

  /** `log` is given ranges of whole lines. */
  constructor(private readonly log: (range: Uint8Array) => void) {
    this.joiner = new RangeJoiner(log);
    this.splitter = new LineSplitter(LIMITS.stderrLineBytes, (line) => this.onLong(line), LIMITS.stderrLineBytes);
  }

  push(chunk: Uint8Array): void {
    this.splitter.push(chunk, this.onLine);
    this.joiner.flush();
  }

  end(): void {
    this.splitter.end(this.onLine);
    this.joiner.flush();
  }

  /** The last lines that are not blank, oldest first, each cut to 2 KiB. */
  lines(): string[] {
    return this.last.map((line) => decoder.decode(line).trimEnd());
  }

  private readonly onLine = (bytes: Uint8Array, start: number, end: number): void => {
    this.joiner.add(bytes, start, end);
    this.remember(bytes, start, end);
  };

  private onLong(line: LongLine): void {
    this.joiner.flush();
    if (line.ended) return this.log(encoder.encode(` … (${line.bytes - line.head.length} bytes more)\n`));
    this.log(line.head);
    this.remember(line.head, 0, line.head.length);
  }

  private remember(bytes: Uint8Array, start: number, end: number): void {
    if (end - start < 1 || (end - start === 1 && bytes[start] === 0x0d)) return;
    // A copy, so that the line does not keep its chunk alive.
    this.last.push(new Uint8Array(bytes.subarray(start, Math.min(end, start + LIMITS.stderrTailLineBytes))));
    if (this.last.length > LIMITS.stderrTailLines) this.last.shift();
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
