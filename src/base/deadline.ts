import { Fault } from "./fault.ts";

/**
 * A point in monotonic time by which something must have ended. Passed down, so that nested waits share one bound.
 * Monotonic on purpose: a clock set back a day must not prolong a wait (faults.md: clock ± 1 day).
 */
export class Deadline {
  private readonly endsAt: number;

  private constructor(
    readonly totalMs: number,
    private readonly outer: AbortSignal | undefined,
  ) {
    this.endsAt = performance.now() + totalMs;
  }

  /** A deadline `ms` milliseconds from now; `outer` (a cancellation) ends it earlier. */
  static in(ms: number, outer?: AbortSignal): Deadline {
    return new Deadline(ms, outer);
  }

  /** At most `ms` from now, and never later than this deadline. */
  within(ms: number): Deadline {
    return new Deadline(Math.min(ms, this.remainingMs), this.outer);
  }

  /** The same, ended earlier by a signal. */
  endedBy(signal: AbortSignal): Deadline {
    return new Deadline(this.remainingMs, this.outer ? AbortSignal.any([this.outer, signal]) : signal);
  }

  get remainingMs(): number {
    return Math.max(0, this.endsAt - performance.now());
  }

  get passed(): boolean {
    return this.remainingMs === 0 || this.outer?.aborted === true;
  }

  /** A fresh signal that aborts at the deadline or with the outer cancellation. */
  get signal(): AbortSignal {
    const atEnd = AbortSignal.timeout(Math.ceil(this.remainingMs));
    return this.outer ? AbortSignal.any([atEnd, this.outer]) : atEnd;
  }

  /**
   * The value of `work`, or a `timeout` fault that names `what`. The work itself is not stopped: hand it
   * `deadline.signal` where it can be.
   */
  async race<T>(what: string, work: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stop: (() => void) | undefined;
    const ends = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.fault(what)), this.remainingMs);
      stop = () => reject(this.fault(what));
      if (this.outer?.aborted) stop();
      this.outer?.addEventListener("abort", stop, { once: true });
    });
    try {
      return await Promise.race([work, ends]);
    } finally {
      clearTimeout(timer);
      if (stop) this.outer?.removeEventListener("abort", stop);
    }
  }

  /** Why there is no more time: `timeout`, or `cancelled` when somebody ended the wait before. */
  fault(what: string): Fault {
    if (this.outer?.aborted) return new Fault("cancelled", `${what} was cancelled`);
    return new Fault("timeout", `${what} did not end within ${Math.round(this.totalMs)} ms`);
  }
}

/** Waits `ms`, or until the signal aborts (then it rejects with a `cancelled` fault). */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new Fault("cancelled", "the wait was cancelled"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
