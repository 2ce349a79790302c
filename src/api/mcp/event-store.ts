/**
 * What a session has sent as events, so that a client whose connection broke gets what it lacks: each exactly once, in
 * order, on the stream it belongs to. Bounded; what was dropped is known, and never passed over in silence. Pure.
 */

/** Of one session, together. */
export const STORE_EVENTS_MAX = 1_024;
export const STORE_BYTES_MAX = 4 * 1024 * 1024;

export interface StoredEvent {
  /** `STREAM-NUMBER`, as `Last-Event-ID` has it. */
  id: string;
  text: string;
}

interface Kept {
  stream: number;
  number: number;
  text: string;
}

interface Stream {
  /** Of its last event, or its beginning. */
  last: number;
  /** Of the last one that was dropped, or its beginning: what comes after is all there. */
  dropped: number;
}

export class EventStore {
  private readonly events: Kept[] = [];
  private readonly streams = new Map<number, Stream>();
  private chars = 0;
  /** Of all streams together, so that no id is ever given twice, also after a stream was forgotten. */
  private numbers = 0;

  constructor(
    private readonly eventsMax = STORE_EVENTS_MAX,
    private readonly charsMax = STORE_BYTES_MAX,
  ) {}

  /** The id that stands for the beginning of a stream. */
  begin(stream: number): string {
    return `${stream}-${this.stream(stream).dropped}`;
  }

  append(stream: number, text: string): StoredEvent {
    const state = this.stream(stream);
    const number = (this.numbers += 1);
    state.last = number;
    this.events.push({ stream, number, text });
    this.chars += text.length;
    while (this.events.length > this.eventsMax || this.chars > this.charsMax) this.drop();
    return { id: `${stream}-${number}`, text };
  }

  /** Which stream an id is of; undefined for what is no id of this store. */
  streamOf(id: string): number | undefined {
    return this.parse(id)?.stream;
  }

  /** What comes after the event; undefined when some of it is lost, or the id is none of ours. */
  after(id: string): StoredEvent[] | undefined {
    const from = this.parse(id);
    if (!from) return undefined;
    const state = this.streams.get(from.stream);
    if (!state || from.number > state.last || from.number < state.dropped) return undefined;
    return this.from(from.stream, from.number);
  }

  /** What is still kept of a stream. */
  kept(stream: number): StoredEvent[] {
    return this.from(stream, 0);
  }

  private from(stream: number, after: number): StoredEvent[] {
    return this.events
      .filter((event) => event.stream === stream && event.number > after)
      .map(({ number, text }) => ({ id: `${stream}-${number}`, text }));
  }

  private stream(stream: number): Stream {
    const found = this.streams.get(stream);
    if (found) return found;
    const made = { last: this.numbers, dropped: this.numbers };
    this.streams.set(stream, made);
    // Beyond that some have no events here: the oldest is forgotten, and can be resumed no more.
    const [oldest] = this.streams.keys();
    if (this.streams.size > this.eventsMax && oldest !== undefined) this.streams.delete(oldest);
    return made;
  }

  private drop(): void {
    const oldest = this.events.shift();
    if (!oldest) return;
    this.chars -= oldest.text.length;
    const state = this.streams.get(oldest.stream);
    if (state) state.dropped = oldest.number;
  }

  private parse(id: string): { stream: number; number: number } | undefined {
    const match = /^(\d{1,15})-(\d{1,15})$/.exec(id);
    return match ? { stream: Number(match[1]), number: Number(match[2]) } : undefined;
  }
}
