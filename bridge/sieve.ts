/**
 * Chunks → the ranges of them that may pass. Splits into lines, takes away what only wraps a line (a carriage return, a
 * byte order mark), asks a judge for each, and joins neighbours again so that a chunk leaves in one write. Pure.
 */
import { isUtf8 } from "node:buffer";
import { LineSplitter, type LongLine, RangeJoiner } from "./lines.ts";

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Whether the line may pass. `clean`: it is UTF-8 without NUL bytes, as JSON must be. */
export type Judge = (bytes: Uint8Array, start: number, end: number, clean: boolean) => boolean;

export class Sieve {
  /** Complete lines seen, of whatever kind. */
  lines = 0;
  private readonly splitter: LineSplitter;
  private readonly joiner: RangeJoiner;
  private chunk: Uint8Array | undefined;
  private chunkClean = false;

  constructor(
    limitBytes: number,
    private readonly judge: Judge,
    pass: (range: Uint8Array) => void,
    onLong: (line: LongLine) => void,
  ) {
    this.joiner = new RangeJoiner(pass);
    this.splitter = new LineSplitter(limitBytes, (line) => {
      if (line.ended) this.lines++;
      onLong(line);
    });
  }

  /** The longest line from now on; for the rest of a chunk too. */
  setLimit(limitBytes: number): void {
    this.splitter.limitBytes = limitBytes;
  }

  push(chunk: Uint8Array): void {
    // One native check for the chunk is much cheaper than one for each line. It fails where the chunk's border cuts a
    // character; then each line is checked by itself.
    this.chunk = chunk;
    this.chunkClean = isClean(chunk);
    this.splitter.push(chunk, this.onLine);
    this.joiner.flush();
    this.chunk = undefined;
  }

  /** Passes on what is judged already, before something else is done that the judge has met. */
  flush(): void {
    this.joiner.flush();
  }

  /** The source has ended: a last line without a newline is a line. */
  end(): void {
    this.splitter.end(this.onLine);
    this.joiner.flush();
  }

  private readonly onLine = (bytes: Uint8Array, lineStart: number, lineEnd: number): void => {
    this.lines++;
    let start = lineStart;
    let end = lineEnd;
    if (bytes[end - 1] === RETURN && end > start) end--;
    if (bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) start += 3;
    const clean = (this.chunkClean && bytes === this.chunk) || isClean(bytes.subarray(start, end));
    if (!this.judge(bytes, start, end, clean)) return;
    // The bytes are ours: the carriage return becomes the newline of what passes.
    bytes[end] = NEWLINE;
    this.joiner.add(bytes, start, end);
  };
}

function isClean(bytes: Uint8Array): boolean {
  return isUtf8(bytes) && !bytes.includes(0);
}
