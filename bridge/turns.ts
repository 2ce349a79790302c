/**
 * Works on a chunk of very many tiny lines bit by bit, so that one server that floods does not make the others wait for
 * all of its lines. Usual chunks are worked on at once.
 */

const NEWLINE = 0x0a;
/** Of a flood, what is worked on without a break: some milliseconds where every line is noise that looks like JSON. */
const TURN_BYTES = 4 * 1024;
/** A chunk that is larger than a turn is a flood if it begins with so many lines in so many bytes. */
const LINES = 64;
const LINES_BYTES = 64 * 24;

export class Turns {
  private waiting: Uint8Array[] = [];
  private scheduled = false;

  /** `work` takes the bytes in order; `changed` is called when the last of a flood is done. */
  constructor(
    private readonly work: (bytes: Uint8Array) => void,
    private readonly changed: () => void,
  ) {}

  /** There is more to work on than comes in one turn: the source has to wait. */
  get busy(): boolean {
    return this.waiting.length > 0;
  }

  push(chunk: Uint8Array): void {
    if (!this.busy && !isFlood(chunk)) return this.work(chunk);
    this.waiting.push(chunk);
    if (!this.scheduled) this.turn();
  }

  /** The source has ended: all that waits, now. */
  finish(): void {
    for (const chunk of this.waiting.splice(0)) this.work(chunk);
  }

  private turn(): void {
    this.scheduled = false;
    const chunk = this.waiting.shift();
    if (!chunk) return;
    if (chunk.length > TURN_BYTES) this.waiting.unshift(chunk.subarray(TURN_BYTES));
    this.work(chunk.subarray(0, TURN_BYTES));
    if (!this.busy) return this.changed();
    this.scheduled = true;
    setImmediate(() => this.turn());
  }
}

function isFlood(chunk: Uint8Array): boolean {
  if (chunk.length <= TURN_BYTES) return false;
  let at = -1;
  for (let lines = 0; lines < LINES; lines++) {
    at = chunk.indexOf(NEWLINE, at + 1);
    if (at < 0 || at > LINES_BYTES) return false;
  }
  return true;
}
