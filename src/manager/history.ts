/**
 * Events in the manager's database: what happened before this manager started, and more than its memory holds. Written in
 * batches, because each transaction costs a sync of the disk; the lifecycle log has every line at once. The oldest go.
 */
import type { Database } from "bun:sqlite";
import * as v from "valibot";
import type { Log } from "../base/log.ts";
import { type EventView, eventView } from "../model/views.ts";

const EVENTS_KEPT = 10_000;
const BATCH_MS = 1_000;
const BATCH_MAX = 200;
const MESSAGE_CHARS_MAX = 2_000;
/** Of an event's data as JSON; what is longer is left out. */
const DATA_CHARS_MAX = 4_000;

const row = v.object({
  at: v.number(),
  kind: v.string(),
  server: v.nullable(v.string()),
  container: v.nullable(v.string()),
  message: v.string(),
  data: v.nullable(v.pipe(v.string(), v.parseJson())),
});

export class History {
  private waiting: EventView[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failed = false;

  /** Never fails: without the table (a full disk) nothing is kept. */
  constructor(
    private readonly database: Database,
    private readonly log: Log,
  ) {
    this.attempt(() => {
      // Nothing is written where the table is there.
      database.run(
        "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, " +
          "server TEXT, container TEXT, message TEXT NOT NULL, data TEXT) STRICT",
      );
    });
  }

  add(event: EventView): void {
    this.waiting.push(event);
    if (this.waiting.length >= BATCH_MAX) return this.flush();
    this.timer ??= setTimeout(() => this.flush(), BATCH_MS);
    this.timer.unref();
  }

  /** The last events, oldest first. */
  recent(limit: number): EventView[] {
    this.flush();
    const query = "SELECT * FROM (SELECT * FROM events ORDER BY id DESC LIMIT ?) ORDER BY id";
    const rows = this.attempt(() => this.database.query(query).all(Math.max(0, Math.floor(limit)))) ?? [];
    return rows.flatMap((found) => {
      const parsed = v.safeParse(row, found);
      if (!parsed.success) return [];
      const given = Object.entries(parsed.output).filter(([, value]) => value !== null);
      const event = v.safeParse(eventView, Object.fromEntries(given));
      return event.success ? [event.output] : [];
    });
  }

  /** Writes what waits; the database is closed by its owner. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const events = this.waiting;
    this.waiting = [];
    if (events.length === 0) return;
    this.attempt(() => this.database.transaction(() => this.write(events))());
  }

  private write(events: EventView[]): void {
    const insert = this.database.query(
      "INSERT INTO events (at, kind, server, container, message, data) VALUES (?, ?, ?, ?, ?, ?)",
    );
    for (const { at, kind, server = null, container = null, message, data } of events) {
      const json = data === undefined ? null : JSON.stringify(data);
      const kept = json !== null && json.length > DATA_CHARS_MAX ? null : json;
      insert.run(at, kind, server, container, message.slice(0, MESSAGE_CHARS_MAX), kept);
    }
    this.database.query("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?").run(EVENTS_KEPT);
  }

  private attempt<T>(work: () => T): T | undefined {
    try {
      const result = work();
      this.failed = false;
      return result;
    } catch (error) {
      // Once: a full disk would fill the log with every batch.
      if (!this.failed) this.log.error("events cannot be stored", { reason: String(error) });
      this.failed = true;
      return undefined;
    }
  }
}
