/** The client's end: stdin as chunks on demand, stdout as ordered writes that say when they are full. */

/** Written at once when it is as large as this; smaller writes of one turn are gathered. */
const GATHER_BYTES = 64 * 1024;

export class ClientOutput {
  /** The client no longer reads (EPIPE), or its pipe is gone. */
  broken = false;
  private readonly sink: Bun.FileSink;
  /** Resolves when what the pipe did not take at once has been written. */
  private pending: Promise<void> | undefined;
  private scheduled = false;

  constructor(private readonly onBroken: () => void) {
    this.sink = Bun.stdout.writer({ highWaterMark: GATHER_BYTES });
  }

  /** Resolved when everything so far is in the pipe; undefined when it is already. */
  get drained(): Promise<void> | undefined {
    return this.pending;
  }

  /** True while the writer may go on; after false it awaits `drained`. */
  write(bytes: Uint8Array | string): boolean {
    if (this.broken) return true;
    try {
      const written = this.sink.write(bytes);
      if (isPromise(written)) this.wait(written);
    } catch {
      this.fail();
    }
    if (!this.scheduled) {
      this.scheduled = true;
      queueMicrotask(this.flush);
    }
    return this.pending === undefined;
  }

  /** What was written in one turn leaves in one system call. */
  private readonly flush = (): void => {
    this.scheduled = false;
    try {
      const flushed = this.sink.flush();
      if (isPromise(flushed)) this.wait(flushed);
    } catch {
      this.fail();
    }
  };

  private wait(writing: Promise<unknown>): void {
    const before = this.pending;
    const pending = Promise.all([before, writing]).then(
      () => {
        if (this.pending === pending) this.pending = undefined;
      },
      () => {
        this.pending = undefined;
        this.fail();
      },
    );
    this.pending = pending;
  }

  private fail(): void {
    if (this.broken) return;
    this.broken = true;
    this.onBroken();
  }
}

/**
 * Hands over each chunk of stdin; a promise in return holds the client back until it resolves. Resolves at the end of
 * the input, and whatever goes wrong while reading (a closed terminal, a reset socket) is that end.
 */
export async function readClient(take: (chunk: Uint8Array) => Promise<void> | undefined): Promise<void> {
  try {
    const reader = Bun.stdin.stream().getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const held = value.byteLength > 0 ? take(value) : undefined;
      if (held) await held;
    }
  } catch {
    return;
  }
}

function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise;
}
