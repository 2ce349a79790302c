/**
 * Nothing outlives its owners: the bridge ends when none of them has said anything for the time of the lease. That is
 * counted on the monotonic clock, which nobody can set and which stands still while the machine is suspended.
 */

/** A timer that fires this much too late was not slow, its process was frozen (SIGSTOP, `docker pause`). */
const FROZEN_MS = 1_000;
/** Owners speak three times in a lease; one that was frozen hears them again within this time at the latest. */
const THAW_MS_MIN = 1_000;

export class Lease {
  private ttlMs = 0;
  private heardAt = 0;
  /** The time since it was last heard of somebody has been prolonged once. */
  private excused = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `inUse`: a client is connected that cannot renew, which is as good as a renewal. */
  constructor(
    private readonly inUse: () => boolean,
    private readonly lapsed: () => void,
  ) {}

  /** Milliseconds; 0: there is none. */
  get durationMs(): number {
    return this.ttlMs;
  }

  /** From now on the lease lasts `ttlMs`; 0 lifts it. */
  renew(ttlMs: number): void {
    this.ttlMs = ttlMs;
    this.heard();
    this.wait(ttlMs);
  }

  /** An owner is there. */
  heard(): void {
    this.heardAt = performance.now();
    this.excused = false;
  }

  cancel(): void {
    clearTimeout(this.timer);
  }

  private wait(ms: number): void {
    this.cancel();
    // Longer than a timer can hold (24 days) is as good as for ever.
    if (this.ttlMs === 0 || ms > 2 ** 31 - 1) return;
    const dueAt = performance.now() + ms;
    this.timer = setTimeout(() => this.due(performance.now() - dueAt), ms);
  }

  private due(lateMs: number): void {
    if (this.inUse()) this.heard();
    const leftMs = this.heardAt + this.ttlMs - performance.now();
    if (leftMs > 0) return this.wait(leftMs);
    // What owners have said meanwhile is still in the sockets.
    if (lateMs < FROZEN_MS || this.excused) return this.lapsed();
    this.excused = true;
    this.wait(Math.max(THAW_MS_MIN, this.ttlMs / 3));
  }
}
