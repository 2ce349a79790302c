/**
 * The bridge's stderr: its own words and its servers' stderr. Whoever reads it may be slow or stuck; then servers are
 * held back for a while and after that lines are dropped and counted, but the bridge itself never waits.
 */
import { write } from "node:fs";

const STDERR = 2;
/** Bytes that wait for the reader; what comes on top is dropped. */
const QUEUE_BYTES = 1024 * 1024;
/** How long a server is held back before its stderr is dropped instead. */
const PATIENCE_MS = 1_000;

export class Log {
  private queue: Uint8Array[] = [];
  private queuedBytes = 0;
  private writing = false;
  private droppedBytes = 0;
  private waiters: (() => void)[] = [];
  private stuck = false;

  constructor(
    private readonly put: (bytes: Uint8Array, done: (taken: number) => void) => void = putToStderr,
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
    if (!this.writing) this.next();
  }

  /** Settles when the reader has caught up, or when it was waited for long enough. */
  caughtUp(): Promise<void> | undefined {
    if (!this.writing || this.stuck) return undefined;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.stuck = true;
        resolve();
      }, this.patienceMs);
      this.waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Settles when all is written, after `budgetMs` at the latest. */
  async flushed(budgetMs: number): Promise<void> {
    if (!this.writing) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.waiters.push(resolve);
    const timer = setTimeout(resolve, budgetMs);
    await promise;
    clearTimeout(timer);
  }

  private next(): void {
    const bytes = this.take();
    if (!bytes) {
      this.writing = false;
      this.stuck = false;
      const waiters = this.waiters;
      this.waiters = [];
      for (const wake of waiters) wake();
      return;
    }
    this.writing = true;
    this.put(bytes, (taken) => {
      if (taken < bytes.length) this.putBack(bytes.subarray(taken));
      this.next();
    });
  }

  /** All that waits, in one piece. */
  private take(): Uint8Array | undefined {
    if (this.droppedBytes > 0) {
      const note = encoder.encode(
        `linkspan bridge: ${this.droppedBytes} bytes of stderr were dropped: nobody read them\n`,
      );
      this.droppedBytes = 0;
      this.queue.push(note);
      this.queuedBytes += note.length;
    }
    const [only, ...more] = this.queue;
    if (!only) return undefined;
    this.queue = [];
    this.queuedBytes = 0;
    return more.length === 0 ? only : Buffer.concat([only, ...more]);
  }

  private putBack(rest: Uint8Array): void {
    this.queue.unshift(rest);
    this.queuedBytes += rest.length;
  }
}

const encoder = new TextEncoder();

/** In a thread of its own: a full pipe must not stop the bridge. Where stderr is gone, what is said is lost. */
function putToStderr(bytes: Uint8Array, done: (taken: number) => void): void {
  write(STDERR, bytes, (error, taken) => {
    if (error?.code === "EAGAIN") setTimeout(done, 20, 0);
    else done(error ? bytes.length : taken);
  });
}
