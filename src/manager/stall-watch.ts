/** A client that is slower than what is said to it: one that takes nothing at all for a while is cut. */
import type { LinkSocket } from "../transport/socket.ts";
import type { Slow, WaitingRoom } from "./waiting-room.ts";

export interface StallRules {
  /** A client that takes nothing for this long while there is something for it is cut. */
  stalledMs: number;
  /** Shared by all clients. */
  room: WaitingRoom;
}

export class StallWatch implements Slow {
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly near: LinkSocket,
    private readonly rules: StallRules,
  ) {}

  get heldBytes(): number {
    return this.near.queuedBytes;
  }

  destroy(): void {
    this.near.destroy();
  }

  /** The client has not taken all there is for it. */
  begin(): void {
    if (this.timer) return;
    this.rules.room.enter(this);
    let before = this.near.queuedBytes;
    this.timer = setInterval(() => {
      const now = this.near.queuedBytes;
      if (now === before && now > 0) this.destroy();
      before = now;
    }, this.rules.stalledMs);
  }

  /** It has, or it is gone. Idempotent. */
  end(): void {
    this.rules.room.leave(this);
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
