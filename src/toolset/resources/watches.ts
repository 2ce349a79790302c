/**
 * Subscriptions of all clients of this process: one watch for each URI, however many want it, told at most once a second,
 * begun anew when the engine was gone, and ended with the last subscriber.
 */
import { sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";

/** URIs that are watched at the same time. */
const WATCHES_MAX = 256;
const TOLD_MS = 1_000;
const RETRY_MS = 2_000;

/** Watches one resource. Faults: `not-found`, and whatever the engine says. */
export type Watch = (uri: string, signal: AbortSignal, changed: () => void) => Promise<void>;

interface Watched {
  listeners: Set<() => void>;
  end: AbortController;
}

export class Watches {
  private readonly watched = new Map<string, Watched>();

  constructor(private readonly watch: Watch) {}

  get size(): number {
    return this.watched.size;
  }

  /** The answer ends the subscription, and may be called twice. Faults: `exhausted`. */
  add(uri: string, listener: () => void): () => void {
    const found = this.watched.get(uri) ?? this.begin(uri);
    // Of its own, so that one client's second subscription does not end with its first.
    const own = () => listener();
    found.listeners.add(own);
    return () => {
      found.listeners.delete(own);
      if (found.listeners.size > 0) return;
      found.end.abort();
      if (this.watched.get(uri) === found) this.watched.delete(uri);
    };
  }

  close(): void {
    for (const { end } of this.watched.values()) end.abort();
    this.watched.clear();
  }

  private begin(uri: string): Watched {
    if (this.watched.size >= WATCHES_MAX)
      throw new Fault("exhausted", `${WATCHES_MAX} resources are watched already`, {
        hint: "End subscriptions that are not needed any more.",
      });
    const begun: Watched = { listeners: new Set(), end: new AbortController() };
    this.watched.set(uri, begun);
    const tell = pacer(begun.end.signal, () => {
      for (const listener of begun.listeners) listener();
    });
    void this.run(uri, begun.end.signal, tell);
    return begun;
  }

  private async run(uri: string, signal: AbortSignal, tell: () => void): Promise<void> {
    while (!signal.aborted) {
      const before = await this.watch(uri, signal, tell).then(
        () => true,
        // What is not there says nothing until it comes.
        (error) => Fault.from(error).kind !== "not-found",
      );
      await sleep(RETRY_MS, signal).catch(() => {});
      // Meanwhile much may have happened.
      if (before) tell();
    }
  }
}

/** The first call at once, all others together at the end of a second. */
function pacer(signal: AbortSignal, tell: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let again = false;
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  return function changed() {
    if (signal.aborted) return;
    if (timer !== undefined) {
      again = true;
      return;
    }
    timer = setTimeout(() => {
      timer = undefined;
      if (!again) return;
      again = false;
      changed();
    }, TOLD_MS);
    tell();
  };
}
