/** Nothing outlives its owners: the bridge ends when nobody has renewed the lease and no client is there. */

export class Lease {
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `inUse`: a client is connected, which is as good as a renewal. */
  constructor(
    private readonly inUse: () => boolean,
    private readonly lapsed: () => void,
  ) {}

  /** From now on the lease lasts `ttlMs`; 0 lifts it. */
  renew(ttlMs: number): void {
    this.cancel();
    // Longer than a timer can hold (24 days) is as good as for ever.
    if (ttlMs === 0 || ttlMs > 2 ** 31 - 1) return;
    this.timer = setTimeout(() => {
      if (this.inUse()) this.renew(ttlMs);
      else this.lapsed();
    }, ttlMs);
  }

  cancel(): void {
    clearTimeout(this.timer);
  }
}
