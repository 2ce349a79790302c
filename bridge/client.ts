/** A client's socket: what is sent with its queue, holding back what is received, and an orderly end. No protocol. */
import { Outlet } from "./outlet.ts";
import { LIMITS } from "./wire.ts";

export type ClientSocket = Bun.Socket<ClientEvents | undefined>;

/** What the listener passes on from the socket. */
export interface ClientEvents {
  data(chunk: Uint8Array): void;
  drain(): void;
  end(): void;
  closed(): void;
}

export class Client {
  private readonly outlet: Outlet;
  private held = false;
  private closing = false;
  private readingOver = false;
  private stallTimer: ReturnType<typeof setTimeout> | undefined;
  private closeTimer: ReturnType<typeof setTimeout> | undefined;

  /** `onEmpty`: all that was written has been taken, after some had to wait. `onStalled`: the client is being cut. */
  constructor(
    private readonly socket: ClientSocket,
    private readonly onEmpty: () => void,
    private readonly onStalled: () => void,
    /** What may wait for it. */
    private readonly queueBytes: () => number,
  ) {
    this.outlet = new Outlet(() => this.emptied());
    this.outlet.open(socket);
  }

  get address(): string {
    return this.socket.remoteAddress;
  }

  get queuedBytes(): number {
    return this.outlet.queuedBytes;
  }

  write(bytes: Uint8Array): void {
    this.outlet.write(bytes);
    if (this.outlet.queuedBytes >= this.queueBytes()) this.watchStall();
  }

  drain(): void {
    this.outlet.drain();
  }

  hold(): void {
    if (this.held || this.closing) return;
    this.held = true;
    this.socket.pause();
  }

  release(): void {
    if (!this.held) return;
    this.held = false;
    this.socket.resume();
  }

  /** The client has ended its sending side. */
  receivedEnd(): void {
    this.readingOver = true;
    if (this.closing) this.endIfBothOver();
  }

  /**
   * Sends what is queued, then ends the connection; a client that does not take it is cut. What still comes is read
   * and thrown away by the owner: an end with unread bytes would be a reset, and the last words would be lost. Idempotent.
   */
  close(): void {
    if (this.closing) return;
    this.release();
    this.closing = true;
    this.closeTimer = setTimeout(() => this.socket.terminate(), LIMITS.stalledMs);
    this.outlet.end();
    this.endIfBothOver();
  }

  /** At once, whatever is queued. */
  terminate(): void {
    this.socket.terminate();
  }

  /** The socket is gone. */
  closed(): void {
    clearTimeout(this.stallTimer);
    clearTimeout(this.closeTimer);
    this.outlet.close();
  }

  private emptied(): void {
    clearTimeout(this.stallTimer);
    this.stallTimer = undefined;
    if (this.closing) this.endIfBothOver();
    else this.onEmpty();
  }

  private endIfBothOver(): void {
    if (this.readingOver && this.outlet.queuedBytes === 0) this.socket.end();
  }

  /** Cuts a client that takes nothing while its queue is, or was, full: its source waits until the queue is empty. */
  private watchStall(): void {
    if (this.stallTimer) return;
    const sentBytes = this.outlet.sentBytes;
    this.stallTimer = setTimeout(() => {
      this.stallTimer = undefined;
      if (this.outlet.queuedBytes === 0) return;
      if (this.outlet.sentBytes > sentBytes) return this.watchStall();
      this.onStalled();
      this.socket.terminate();
    }, LIMITS.stalledMs);
  }
}
