/** Nothing outlives its owners: the bridge ends when none of them has said anything for the time of the lease. */

export class Lease {
  private ttlMs = 0;
  private heardAt = 0;
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
  }

  cancel(): void {
    clearTimeout(this.timer);
  }

  private wait(ms: number): void {
    this.cancel();
    // Longer than a timer can hold (24 days) is as good as for ever.
    if (this.ttlMs === 0 || ms > 2 ** 31 - 1) return;
    this.timer = setTimeout(() => this.due(), ms);
  }

  private due(): void {
    if (this.inUse()) this.heard();
    const leftMs = this.heardAt + this.ttlMs - performance.now();
    if (leftMs > 0) this.wait(leftMs);
    else this.lapsed();
  }
}
