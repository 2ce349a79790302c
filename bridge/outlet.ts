/**
 * The sending side of a socket: what the kernel does not take at once waits here, in order and counted, so that a slow
 * reader can be noticed before it costs memory.
 */

/** What is used of a Bun socket. `write` takes a part and says how much; -1 when nothing can be sent any more. */
export interface Writable {
  write(bytes: Uint8Array): number;
  /** Ends the sending side only. */
  shutdown(): void;
}

export class Outlet {
  queuedBytes = 0;
  /** Bytes that the kernel has taken so far: how a stall is noticed. */
  sentBytes = 0;
  private queue: Uint8Array[] = [];
  private socket: Writable | undefined;
  private ending = false;
  private closed = false;

  /** `onEmpty`: all that was written is with the kernel again, after some had to wait. */
  constructor(private readonly onEmpty: () => void) {}

  /** From now on there is a socket; what was written before goes out. */
  open(socket: Writable): void {
    this.socket = socket;
    this.drain();
  }

  write(bytes: Uint8Array): void {
    if (this.closed || this.ending || bytes.length === 0) return;
    let taken = 0;
    if (this.socket && this.queuedBytes === 0) {
      taken = Math.max(0, this.socket.write(bytes));
      this.sentBytes += taken;
      if (taken === bytes.length) return;
    }
    const rest = bytes.subarray(taken);
    // A small range must not keep a large chunk alive while it waits. (Not slice: a Buffer's is a view.)
    this.queue.push(rest.length * 2 < rest.buffer.byteLength ? new Uint8Array(rest) : rest);
    this.queuedBytes += rest.length;
  }

  /** To be called when the socket can take more. */
  drain(): void {
    if (!this.socket || this.closed) return;
    const hadQueue = this.queuedBytes > 0;
    let done = 0;
    for (const bytes of this.queue) {
      const taken = Math.max(0, this.socket.write(bytes));
      this.sentBytes += taken;
      this.queuedBytes -= taken;
      if (taken < bytes.length) {
        this.queue[done] = bytes.subarray(taken);
        break;
      }
      done++;
    }
    this.queue.splice(0, done);
    if (this.queuedBytes > 0) return;
    if (this.ending) this.finish();
    else if (hadQueue) this.onEmpty();
  }

  /** Nothing more will be written; the sending side is ended once the queue is empty. Idempotent. */
  end(): void {
    if (this.ending) return;
    this.ending = true;
    if (this.socket && this.queuedBytes === 0) this.finish();
  }

  /** The socket is gone. What waits is given up. */
  close(): void {
    this.closed = true;
    this.queue = [];
    this.queuedBytes = 0;
  }

  private finish(): void {
    if (this.closed) return;
    this.closed = true;
    this.socket?.shutdown();
    this.onEmpty();
  }
}
