/**
 * Which servers somebody has asked for by name: those stay without a session, also under the next manager. Only what
 * is known is kept; of a server without an entry the careful guess is that somebody wants it.
 */
import type { Database } from "bun:sqlite";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";

const row = v.object({ name: v.string(), pinned: v.number() });

export class Pins {
  private readonly known = new Map<string, boolean>();

  /** Never fails: without the table (a full disk) nothing outlives the manager. */
  constructor(
    private readonly database: Database,
    private readonly log: Log,
  ) {
    this.attempt(() => {
      database.run("CREATE TABLE IF NOT EXISTS pins (name TEXT PRIMARY KEY, pinned INTEGER NOT NULL) STRICT");
      for (const found of database.query("SELECT name, pinned FROM pins").all()) {
        const parsed = v.safeParse(row, found);
        if (parsed.success) this.known.set(parsed.output.name, parsed.output.pinned === 1);
      }
    });
  }

  get(name: string): boolean | undefined {
    return this.known.get(name);
  }

  set(name: string, pinned: boolean): void {
    if (this.known.get(name) === pinned) return;
    this.known.set(name, pinned);
    this.attempt(() =>
      this.database.query("INSERT OR REPLACE INTO pins (name, pinned) VALUES (?, ?)").run(name, pinned ? 1 : 0),
    );
  }

  delete(name: string): void {
    if (!this.known.delete(name)) return;
    this.attempt(() => this.database.query("DELETE FROM pins WHERE name = ?").run(name));
  }

  private attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.log.error("what was started by name cannot be kept", { reason: Fault.from(error).message });
    }
  }
}
