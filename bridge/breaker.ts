/**
 * A server that ends as soon as it is started, whatever is tried, is left alone for a while instead of being started for
 * everybody who comes. Pure: the caller brings the time.
 */

/** So many useless starts within the window are a loop. */
const FAILURES = 5;
const WINDOW_MS = 10_000;
/** A process that lived this long is no crash loop, even if nobody asked it anything. */
export const USEFUL_MS = 10_000;
/** After the first loop; twice as long after each trial that failed. */
const REST_MS = 1_000;
const REST_MAX_MS = 60_000;

export class Breaker {
  /** Why the last start was of no use; undefined unless there was a loop that has not been seen to end. */
  reason: string | undefined;
  private failures: number[] = [];
  private rests = 0;
  private restsUntil = 0;

  /** A server process ended by itself before it answered anything, or could not be started. */
  failed(reason: string, now = performance.now()): void {
    if (now < this.restsUntil) return;
    this.failures = [...this.failures.filter((at) => now - at < WINDOW_MS), now];
    // After a rest there is one trial, not five.
    if (this.rests === 0 && this.failures.length < FAILURES) return;
    this.reason = reason;
    this.restsUntil = now + Math.min(REST_MAX_MS, REST_MS * 2 ** this.rests);
    this.rests++;
  }

  /** A server process was of use. */
  worked(): void {
    this.failures = [];
    this.rests = this.restsUntil = 0;
    this.reason = undefined;
  }

  /** Milliseconds in which no server is to be started. */
  restMs(now = performance.now()): number {
    return Math.max(0, this.restsUntil - now);
  }

  /** A sentence about the loop; undefined if there is none. */
  describe(now = performance.now()): string | undefined {
    if (this.reason === undefined) return undefined;
    const rest = this.restMs(now);
    const next = rest > 0 ? `; the next try is in ${(rest / 1_000).toFixed(1)} s at the earliest` : "";
    return `the server ends whenever it is started (${this.reason})${next}`;
  }
}
