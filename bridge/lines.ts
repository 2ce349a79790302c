/**
 * Bytes that arrive in chunks → lines as ranges of bytes. Pure: no I/O, no protocol.
 *
 * A line that lies inside one chunk is a range of that chunk and is not copied. A line over several chunks is joined
 * once, from a list. Only `\n` ends a line and it is the only byte looked for, so a character or a carriage return
 * cut by a chunk border is no special case.
 */

const NEWLINE = 0x0a;
/** Small pieces of one line are packed into blocks of this size: one byte per chunk must not cost an object per byte. */
const BLOCK_BYTES = 64 * 1024;
/** Enough of either end of a line that is too long to find the id of a JSON-RPC message. */
const EXCERPT_BYTES = 1024;

/**
 * One line: `bytes[start]` up to `bytes[end]`, which is its newline. The range may be kept; the bytes must not be
 * changed.
 */
export type OnLine = (bytes: Uint8Array, start: number, end: number) => void;

/** A line over the limit. Reported twice: when it crosses the limit, and when it has ended. */
export interface LongLine {
  ended: boolean;
  /** Bytes seen so far, newline excluded. */
  bytes: number;
  /** The first bytes of the line, 1 KiB unless told otherwise. */
  head: Uint8Array;
  /** The last bytes of the line, 1 KiB at most; empty until it has ended. */
  tail: Uint8Array;
}

export class LineSplitter {
  private pieces: Uint8Array[] = [];
  private heldBytes = 0;
  /** Free bytes at the end of the last piece, when that is a block of ours. */
  private roomBytes = 0;
  private long: LongLine | undefined;

  constructor(
    /** The longest line, newline excluded. May be changed at any time. */
    public limitBytes: number,
    private readonly onLong: (line: LongLine) => void,
    /** What is kept of the beginning of a line that is too long. */
    private readonly headBytes = EXCERPT_BYTES,
  ) {}

  /** Bytes of the unfinished line that are kept in memory. */
  get pendingBytes(): number {
    return this.heldBytes;
  }

  /** Calls `onLine` for each line that `chunk` ends. The chunk belongs to the splitter from now on. */
  push(chunk: Uint8Array, onLine: OnLine): void {
    let start = 0;
    if (this.heldBytes > 0 || this.long) {
      const end = chunk.indexOf(NEWLINE);
      if (end < 0) return this.hold(chunk);
      this.hold(chunk.subarray(0, end));
      this.finish(onLine);
      start = end + 1;
    }
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end < 0) break;
      if (end - start <= this.limitBytes) onLine(chunk, start, end);
      else {
        this.hold(chunk.subarray(start, end));
        this.finish(onLine);
      }
      start = end + 1;
    }
    if (start < chunk.length) this.hold(chunk.subarray(start));
  }

  /** The stream has ended: what was left without a newline is a line too. The splitter can be used again. */
  end(onLine: OnLine): void {
    if (this.heldBytes > 0 || this.long) this.finish(onLine);
  }

  private hold(piece: Uint8Array): void {
    if (this.long) return this.skip(this.long, piece);
    if (this.heldBytes + piece.length > this.limitBytes) return this.begin(piece);
    this.heldBytes += piece.length;
    let rest = piece;
    const last = this.pieces.at(-1);
    if (last && this.roomBytes > 0) {
      const packed = rest.subarray(0, this.roomBytes);
      last.set(packed, last.length - this.roomBytes);
      this.roomBytes -= packed.length;
      rest = rest.subarray(packed.length);
    }
    if (rest.length === 0) return;
    if (!last || rest.length >= BLOCK_BYTES) {
      this.pieces.push(rest);
      return;
    }
    const block = new Uint8Array(BLOCK_BYTES);
    block.set(rest);
    this.pieces.push(block);
    this.roomBytes = BLOCK_BYTES - rest.length;
  }

  private finish(onLine: OnLine): void {
    if (this.long) {
      const line = this.long;
      this.long = undefined;
      this.onLong({ ...line, ended: true });
      return;
    }
    const end = this.heldBytes;
    const line = new Uint8Array(end + 1);
    this.joinInto(line, end);
    line[end] = NEWLINE;
    this.reset();
    onLine(line, 0, end);
  }

  private joinInto(target: Uint8Array, wantedBytes: number): void {
    let at = 0;
    for (const piece of this.pieces) {
      if (at >= wantedBytes) break;
      target.set(piece.subarray(0, wantedBytes - at), at);
      at += piece.length;
    }
  }

  /** The line crosses the limit with `piece`: keep an excerpt, drop the rest. */
  private begin(piece: Uint8Array): void {
    const kept = Math.min(this.heldBytes, this.headBytes);
    const head = new Uint8Array(Math.min(kept + piece.length, this.headBytes));
    this.joinInto(head, kept);
    head.set(piece.subarray(0, head.length - kept), kept);
    const line: LongLine = { ended: false, bytes: this.heldBytes, head, tail: this.heldTail() };
    this.reset();
    this.long = line;
    this.skip(line, piece);
    this.onLong({ ...line, tail: new Uint8Array(0) });
  }

  private heldTail(): Uint8Array {
    const tail = new Uint8Array(Math.min(this.heldBytes, EXCERPT_BYTES));
    let at = tail.length;
    let unused = this.roomBytes;
    for (let i = this.pieces.length - 1; i >= 0 && at > 0; i--) {
      const piece = this.pieces[i]?.subarray(0, -unused || undefined) ?? tail;
      unused = 0;
      const part = piece.subarray(Math.max(0, piece.length - at));
      at -= part.length;
      tail.set(part, at);
    }
    return tail;
  }

  private skip(line: LongLine, piece: Uint8Array): void {
    line.bytes += piece.length;
    if (piece.length >= EXCERPT_BYTES) {
      line.tail = new Uint8Array(piece.subarray(-EXCERPT_BYTES));
      return;
    }
    const before = line.tail.subarray(Math.max(0, line.tail.length + piece.length - EXCERPT_BYTES));
    const tail = new Uint8Array(before.length + piece.length);
    tail.set(before);
    tail.set(piece, before.length);
    line.tail = tail;
  }

  private reset(): void {
    this.pieces = [];
    this.heldBytes = 0;
    this.roomBytes = 0;
  }
}

/**
 * Joins lines to few ranges, so that a chunk full of messages is passed on in one write: writing each line by itself
 * costs more than everything else a relay does. Neighbours become one range without a copy; what has gaps in it
 * (dropped lines between, a line over two chunks) is gathered by copying.
 */
export class RangeJoiner {
  private bytes: Uint8Array | undefined;
  private start = 0;
  private end = 0;
  private gathered: Uint8Array[] = [];
  private gatheredBytes = 0;

  constructor(private readonly write: (range: Uint8Array) => void) {}

  /** A line with its newline at `end`. */
  add(bytes: Uint8Array, start: number, end: number): void {
    if (bytes !== this.bytes || start !== this.end) {
      this.gather();
      this.bytes = bytes;
      this.start = start;
    }
    this.end = end + 1;
  }

  /** Writes what is gathered. To be called at the end of each chunk, and before anything else is written. */
  flush(): void {
    this.gather();
    this.writeGathered();
  }

  private gather(): void {
    const range = this.takeRange();
    if (!range) return;
    this.gathered.push(range);
    this.gatheredBytes += range.length;
    if (this.gatheredBytes < BLOCK_BYTES) return;
    // A large range is worth a write of its own rather than a copy.
    const large = range.length >= BLOCK_BYTES ? this.gathered.pop() : undefined;
    this.writeGathered();
    if (large) this.write(large);
  }

  private writeGathered(): void {
    const [only, ...more] = this.gathered;
    if (!only) return;
    this.gathered = [];
    this.gatheredBytes = 0;
    this.write(more.length === 0 ? only : Buffer.concat([only, ...more]));
  }

  private takeRange(): Uint8Array | undefined {
    const bytes = this.bytes;
    if (!bytes) return undefined;
    this.bytes = undefined;
    const whole = this.start === 0 && this.end === bytes.length;
    return whole ? bytes : bytes.subarray(this.start, this.end);
  }
}
