/**
 * How much may wait for one reader, so that many who read nothing do not use up the container's memory: half of what is
 * free in all. The first to be slow has 4 MiB, the hundredth little, and all together never more than there is (the
 * "dynamic threshold" of shared-memory switches, Choudhury and Hahne 1998).
 */
import { LIMITS } from "./wire.ts";

/** The sum is asked for this often: to add up hundreds of queues for every chunk would cost more than the chunk. */
const STALE_MS = 10;
const COLLECT_MS = 500;

export class Room {
  private limit: number = LIMITS.queueBytes;
  private at = Number.NEGATIVE_INFINITY;
  private collectedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly collect: () => void = () => Bun.gc(true),
  ) {}

  /** Bytes, for each of them. */
  each(readers: Iterable<{ readonly waitingBytes: number }>): number {
    const now = this.now();
    if (now - this.at < STALE_MS) return this.limit;
    this.at = now;
    let sum = 0;
    for (const { waitingBytes } of readers) sum += waitingBytes;
    // What has gone out of queues this full is collected late otherwise: the collector takes all of it for much in use.
    if (sum > LIMITS.queuesBytes / 4 && now - this.collectedAt > COLLECT_MS) {
      this.collectedAt = now;
      this.collect();
    }
    const part = Math.floor((LIMITS.queuesBytes - sum) / 2);
    this.limit = Math.max(LIMITS.queueBytesMin, Math.min(LIMITS.queueBytes, part));
    return this.limit;
  }
}
