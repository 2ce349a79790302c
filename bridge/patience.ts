/**
 * How far a server may be ahead of what its client has acknowledged. What is not acknowledged is kept for a resume, so the
 * server has to wait when that is much; a client that is there and acknowledges nothing is cut.
 */
import type { Replay } from "./replay.ts";
import { LIMITS } from "./wire.ts";

export class Patience {
  /** The client acknowledges; one that never does is not waited for, and cannot resume after much has been sent. */
  private acknowledges = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `looked`: it is time to look again; with `silent` the client has acknowledged nothing all the while. */
  constructor(
    private readonly replay: Replay,
    /** How much may be kept; twice that while a client is there that does not acknowledge, or cannot be heard. */
    private readonly host: { readonly queueBytes: number },
    private readonly looked: (silent: boolean) => void,
  ) {}

  /** The server waits for an acknowledgement, with a client that is there. */
  get tried(): boolean {
    return this.timer !== undefined;
  }

  /** The client has received so many messages. False: it says something impossible. */
  acknowledge(received: number): boolean {
    this.acknowledges = true;
    return this.replay.acknowledge(received);
  }

  /**
   * Keeps what goes to a client. Not without `end`, where the client is there and may never need what is given up, or where
   * the server waits for nobody.
   */
  keep(range: Uint8Array, end: boolean): void {
    this.replay.add(range);
    const { queueBytes } = this.host;
    if (end && this.replay.keptBytes > 2 * queueBytes) this.replay.giveUp(queueBytes);
  }

  /** Whether the server has to wait. `serverFull`: it does not take what the client sends. */
  exhausted(there: boolean, serverFull: boolean): boolean {
    if (this.replay.keptBytes < this.host.queueBytes) {
      this.rest();
      return false;
    }
    if (!there) return true;
    // Acknowledgements of a client that is held back are not read, and it is held back until the server has taken
    // something, which the server may do only after it got rid of something: waiting here would be for ever.
    if (!this.acknowledges || serverFull) return false;
    this.timer ??= this.watch(this.replay.dropped);
    return true;
  }

  /** Waits for nobody any more. */
  rest(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private watch(before: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.timer = undefined;
      this.looked(this.replay.dropped === before);
    }, LIMITS.stalledMs);
  }
}
