/**
 * How soon a server that has ended is started again. Pure: the caller brings the time.
 *
 * A start that was of use (it answered the client, or lived long enough) is followed by the next one at once. Starts
 * that were of no use follow each other more and more slowly; after five of them the server is left alone for a while.
 */

/** Before the first, second, … start after one that was of use. */
const WAITS_MS = [0, 100, 300, 1_000];
/** How long a server is left alone after too many useless starts; twice as long after each failed trial. */
const REST_MS = 5_000;
const REST_MAX_MS = 60_000;
/** A server that lived this long is no crash loop, even if nobody asked it anything. */
const USEFUL_MS = 10_000;

export type Step = { kind: "start"; afterMs: number } | { kind: "rest"; ms: number };

export class Pace {
  private useless = 0;
  private rests = 0;

  /** What follows the end of a start, or a start that failed. `answered`: it has answered a request of the client. */
  next(answered: boolean, livedMs: number): Step {
    if (answered || livedMs >= USEFUL_MS) this.useless = this.rests = 0;
    const afterMs = WAITS_MS[this.useless];
    this.useless += 1;
    return afterMs === undefined || this.rests > 0 ? this.rest() : { kind: "start", afterMs };
  }

  /** For a reason that another start at once cannot change. After the rest there is one trial, not five. */
  rest(): Extract<Step, { kind: "rest" }> {
    this.rests += 1;
    return { kind: "rest", ms: Math.min(REST_MAX_MS, REST_MS * 2 ** (this.rests - 1)) };
  }
}
