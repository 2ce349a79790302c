/**
 * The bridge's stderr: its own words and its servers' stderr. Whoever reads it may be slow or stuck; then servers are
 * held back for a while and after that lines are dropped and counted, but the bridge itself never waits.
 */
import { writeAtOnce } from "./native.ts";

const STDERR = 2;
/** Bytes that wait for the reader; what comes on top is dropped. */
const QUEUE_BYTES = 1024 * 1024;
/** How long a server is held back before its stderr is dropped instead. */
const PATIENCE_MS = 1_000;
/** A reader that has to catch up is looked after so often: at first often, then less. */
const RETRY_MS = { first: 1, last: 50 };

/** Takes what it can take without waiting and says how many bytes; -1 when it will never take anything again. */
export type Put = (bytes: Uint8Array) => number;

export class Log {
  private queue: Uint8Array[] = [];
  private queuedBytes = 0;
  private droppedBytes = 0;
  private waiters: (() => void)[] = [];
  /** The reader was waited for in vain. */
  private stuck = false;
  private retryMs = RETRY_MS.first;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly put: Put = putToStderr,
    private readonly patienceMs = PATIENCE_MS,
  ) {}

  /** One line of the bridge's own. */
  say(text: string): void {
    this.write(encoder.encode(`linkspan bridge: ${text}\n`));
  }

  /** Bytes as they are. */
  write(bytes: Uint8Array): void {
    if (this.queuedBytes + bytes.length > QUEUE_BYTES) {
      this.droppedBytes += bytes.length;
      return;
    }
    this.queue.push(bytes);
    this.queuedBytes += bytes.length;
    if (!this.timer) this.pump();
  }

  /** Settles when the reader has caught up, or when it was waited for long enough; undefined if nothing waits. */
  caughtUp(): Promise<void> | undefined {
    if (this.queuedBytes === 0 || this.stuck) return undefined;
    return this.settled(this.patienceMs, () => (this.stuck = true));
  }

  /** Settles when all is written, after `budgetMs` at the latest. */
  async flushed(budgetMs: number): Promise<void> {
    if (this.queuedBytes > 0) await this.settled(budgetMs, () => {});
  }

  private settled(budgetMs: number, onTimeout: () => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      onTimeout();
      resolve();
    }, budgetMs);
    this.waiters.push(() => {
      clearTimeout(timer);
      resolve();
    });
    return promise;
  }

  private pump(): void {
    this.timer = undefined;
    for (let bytes = this.next(); bytes; bytes = this.next()) {
      const taken = this.put(bytes);
      // Nobody will ever read it: what is said is lost.
      const rest = taken < 0 ? new Uint8Array(0) : bytes.subarray(taken);
      if (taken !== 0) this.retryMs = RETRY_MS.first;
      this.queuedBytes -= bytes.length - rest.length;
      if (rest.length === 0) continue;
      this.queue.unshift(rest);
      this.timer = setTimeout(() => this.pump(), this.retryMs);
      this.retryMs = Math.min(this.retryMs * 2, RETRY_MS.last);
      return;
    }
    this.stuck = false;
    const waiters = this.waiters;
    this.waiters = [];
    for (const wake of waiters) wake();
  }

  private next(): Uint8Array | undefined {
    if (this.droppedBytes > 0 && this.queue.length === 0) {
      const note = `linkspan bridge: ${this.droppedBytes} bytes of stderr were dropped: nobody read them\n`;
      this.droppedBytes = 0;
      this.queue.push(encoder.encode(note));
      this.queuedBytes += note.length;
    }
    return this.queue.shift();
  }
}

const encoder = new TextEncoder();

/** Where there is no way to write without waiting, stderr is a file or a terminal in all likelihood. */
const putToStderr: Put =
  process.platform === "linux"
    ? (bytes) => writeAtOnce(STDERR, bytes)
    : (bytes) => process.getBuiltinModule("node:fs").writeSync(STDERR, bytes);
