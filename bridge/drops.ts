/** Counts the lines of one session that were not passed on and tells the log about some of them: a flood is a number. */
import type { Dropped } from "./traffic.ts";

/** Lines that are told in full per window; the others are only counted. */
const TOLD_PER_WINDOW = 5;
const WINDOW_MS = 10_000;
const SHOWN_CHARS = 120;

export class Drops {
  total = 0;
  /** Of the server: lines that are no message. */
  noise = 0;
  /** Of the server: answers that nobody awaited. */
  unexpected = 0;
  private readonly counts = new Map<string, number>();
  private windowEndsAt = 0;
  private told = 0;

  constructor(private readonly say: (text: string) => void) {}

  /** `line` is the beginning of the line. */
  note(why: Dropped, from: "client" | "server", line: Uint8Array): void {
    this.total++;
    if (from === "server" && why === "unexpected answer") this.unexpected++;
    else if (from === "server" && why !== "blank line") this.noise++;
    const key = `${why} from the ${from}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    // Blank lines are common, harmless and say nothing.
    if (why === "blank line") return;
    // A flood does not ask for the time at every line.
    if (this.told > TOLD_PER_WINDOW && this.total % 256 !== 0) return;
    const now = performance.now();
    if (now >= this.windowEndsAt) {
      this.windowEndsAt = now + WINDOW_MS;
      this.told = 0;
    }
    this.told++;
    if (this.told <= TOLD_PER_WINDOW) this.say(`not passed on, ${key}: ${shown(line)}`);
    else if (this.told === TOLD_PER_WINDOW + 1) this.say("more lines were not passed on; they are counted");
  }

  /** All counts as a sentence, undefined if there was nothing. */
  summary(): string | undefined {
    if (this.total === 0) return undefined;
    return `not passed on: ${[...this.counts].map(([key, count]) => `${count} × ${key}`).join(", ")}`;
  }
}

/** As a JSON string, so that no control character of a hostile server reaches a terminal. */
function shown(line: Uint8Array): string {
  const text = new TextDecoder().decode(line.subarray(0, SHOWN_CHARS * 4));
  const cut = text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
  return JSON.stringify(cut).replace(/[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
}
