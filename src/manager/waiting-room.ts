/** What waits in this process for clients of the TCP port that are slower than their servers, all of them together. */
export interface Slow {
  /** Bytes that its client has yet to take. */
  readonly heldBytes: number;
  /** Ends it at once. */
  destroy(): void;
}

/** Some hundred clients that read nothing, each with what was read for it in one go. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;

export class WaitingRoom {
  /** Whoever waits longest comes first. */
  private readonly slow = new Set<Slow>();

  constructor(private readonly bytesMax = HELD_BYTES_MAX) {}

  /** Takes nothing for now. Where there is no room, the one that has taken nothing for longest is cut. */
  enter(client: Slow): void {
    this.slow.add(client);
    for (let sum = this.sum(); sum > this.bytesMax; sum = this.sum()) {
      const [longest] = this.slow;
      if (!longest) return;
      this.slow.delete(longest);
      longest.destroy();
    }
  }

  /** It has taken everything, or has gone. Idempotent. */
  leave(client: Slow): void {
    this.slow.delete(client);
  }

  private sum(): number {
    let bytes = 0;
    for (const { heldBytes } of this.slow) bytes += heldBytes;
    return bytes;
  }
}
