/** What happened, for people and programs: the last events in a ring, and every new one to whoever listens. */
import type { EventView } from "../model/views.ts";

const KEPT = 1_000;
/** Events waiting for one slow reader; the oldest are dropped, and the reader is told. */
const WAITING_MAX = 1_000;

export interface Events {
  /** The last events, oldest first. */
  recent(limit: number): EventView[];
  /** Events from now on, until the signal aborts. A reader that is too slow loses the oldest and is told how many. */
  subscribe(signal: AbortSignal): AsyncIterable<EventView>;
  add(kind: string, message: string, details?: EventDetails): void;
}

type EventDetails = Pick<EventView, "server" | "container" | "data">;

interface Reader {
  waiting: EventView[];
  dropped: number;
  wake: () => void;
}

export class EventLog implements Events {
  private ring: EventView[] = [];
  private readonly readers = new Set<Reader>();
  private readonly listeners: ((event: EventView) => void)[] = [];
  private history: { recent(limit: number): EventView[] } | undefined;
  private closed = false;

  constructor(
    private readonly now: () => number = Date.now,
    /** The name of a server's container. */
    private readonly containerOf: (server: string) => string | undefined = () => undefined,
  ) {}

  /** Where events are that the ring does not hold. */
  remember(history: { recent(limit: number): EventView[] }): void {
    this.history = history;
  }

  /** Called with every event while it is added; must not throw. */
  listen(listener: (event: EventView) => void): void {
    this.listeners.push(listener);
  }

  add(kind: string, message: string, details: EventDetails = {}): void {
    const container = details.container ?? (details.server && this.containerOf(details.server));
    const event: EventView = { at: this.now(), kind, ...details, ...(container ? { container } : {}), message };
    this.ring.push(event);
    // Cut in steps: shifting a thousand entries for every event would cost more than the event.
    if (this.ring.length > 2 * KEPT) this.ring = this.ring.slice(-KEPT);
    for (const listener of this.listeners) listener(event);
    for (const reader of this.readers) {
      reader.waiting.push(event);
      if (reader.waiting.length > WAITING_MAX) {
        reader.waiting.shift();
        reader.dropped += 1;
      }
      reader.wake();
    }
  }

  recent(limit: number): EventView[] {
    const count = Math.max(0, Math.floor(limit));
    if (count === 0) return [];
    const latest = this.ring.slice(-Math.min(count, KEPT));
    if (latest.length === count || !this.history) return latest;
    const stored = this.history.recent(count);
    // Shorter when nothing can be stored.
    return stored.length > latest.length ? stored : latest;
  }

  subscribe(signal: AbortSignal): AsyncIterable<EventView> {
    const reader: Reader = { waiting: [], dropped: 0, wake: () => {} };
    // Listens from the call on, not from the first `next`: nothing in between is missed.
    if (!signal.aborted && !this.closed) this.readers.add(reader);
    const leave = () => {
      this.readers.delete(reader);
      reader.wake();
    };
    signal.addEventListener("abort", leave, { once: true });
    return this.read(reader, leave, signal);
  }

  /** Ends every subscription. */
  close(): void {
    this.closed = true;
    for (const reader of this.readers) {
      this.readers.delete(reader);
      reader.wake();
    }
  }

  private async *read(reader: Reader, leave: () => void, signal: AbortSignal): AsyncGenerator<EventView> {
    try {
      for (;;) {
        const event = this.take(reader);
        if (event) {
          yield event;
          continue;
        }
        if (!this.readers.has(reader)) return;
        await new Promise<void>((resolve) => {
          reader.wake = resolve;
        });
      }
    } finally {
      leave();
      signal.removeEventListener("abort", leave);
    }
  }

  private take(reader: Reader): EventView | undefined {
    if (reader.dropped === 0) return reader.waiting.shift();
    const message = `${reader.dropped} events were dropped: this reader is too slow`;
    const data = { dropped: reader.dropped };
    reader.dropped = 0;
    return { at: this.now(), kind: "dropped", message, data };
  }
}
