/**
 * What the manager remembers that no container can: specs defined through REST. One small SQLite file, written rarely
 * and whole: a rollback journal is enough, and a single file is easy to move aside when it is damaged.
 * The manager starts with any file: what cannot be read is rebuilt from labels, what cannot be written is kept in memory.
 */
import { Database } from "bun:sqlite";
import { chmodSync, closeSync, existsSync, openSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import type { Log } from "../base/log.ts";
import { type ServerSpec, serverSpec } from "../model/server-spec.ts";
import { AccessTokens } from "./access-tokens.ts";
import { History } from "./history.ts";
import { Pins } from "./pins.ts";

const SCHEMA_VERSION = 1;
const BUSY_MS = 1_000;
/** Damaged files kept for a look, newest first. */
const ASIDE_KEPT = 3;

const row = v.object({ name: v.string(), spec: v.string() });

export class State {
  readonly history: History;
  readonly pins: Pins;
  readonly access: AccessTokens;

  private constructor(
    private readonly database: Database,
    private readonly log: Log,
    /** Why nothing is kept over a restart; undefined when all is well. */
    readonly degraded: string | undefined,
  ) {
    this.history = new History(database, log);
    this.pins = new Pins(database, log);
    this.access = new AccessTokens(database, log);
  }

  /** Never fails: a damaged file is moved aside, without a writable one the state lives in memory. */
  static open(path: string, log: Log): State {
    try {
      return new State(openDatabase(path), log, undefined);
    } catch (error) {
      if (isDamage(error)) {
        try {
          const aside = moveAside(path);
          log.warn("the state was damaged and is rebuilt", { file: path, aside, reason: reasonOf(error) });
          return new State(openDatabase(path), log, undefined);
        } catch (again) {
          return State.inMemory(path, again, log);
        }
      }
      return State.inMemory(path, error, log);
    }
  }

  private static inMemory(path: string, error: unknown, log: Log): State {
    const degraded = `${path} cannot be used (${reasonOf(error)}): definitions are lost when the manager ends`;
    log.warn("the state is kept in memory only", { file: path, reason: reasonOf(error) });
    return new State(openDatabase(":memory:"), log, degraded);
  }

  /** Every spec that is stored and still valid; others are dropped with a word in the log. */
  specs(): ServerSpec[] {
    const specs: ServerSpec[] = [];
    for (const found of this.attempt("reading specs", () =>
      this.database.query("SELECT name, spec FROM specs").all(),
    ) ?? []) {
      const parsed = v.safeParse(
        v.pipe(
          row,
          v.transform((one) => one.spec),
          v.parseJson(),
          serverSpec,
        ),
        found,
      );
      if (parsed.success) specs.push(parsed.output);
      else this.log.warn("a stored spec is not valid and was ignored", { reason: parsed.issues[0].message });
    }
    return specs;
  }

  /** Whole or not at all. A failure (full disk) is logged: the server runs, only a restart would forget it. */
  put(spec: ServerSpec): void {
    this.attempt("storing a spec", () =>
      this.database
        .query("INSERT INTO specs (name, spec) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET spec = excluded.spec")
        .run(spec.name, JSON.stringify(spec)),
    );
  }

  delete(name: string): void {
    this.pins.delete(name);
    this.attempt("forgetting a spec", () => this.database.query("DELETE FROM specs WHERE name = ?").run(name));
  }

  close(): void {
    this.history.flush();
    this.access.flush();
    this.database.close();
  }

  private attempt<T>(what: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.log.error(`${what} failed`, { reason: reasonOf(error) });
      return undefined;
    }
  }
}

function openDatabase(path: string): Database {
  // SQLite gives the journal the mode of the file: both are private from the first byte.
  if (path !== ":memory:") makePrivate(path);
  const database = new Database(path, { create: true });
  try {
    database.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    database.run("PRAGMA synchronous = FULL");
    const version = v.parse(v.object({ user_version: v.number() }), database.query("PRAGMA user_version").get());
    if (version.user_version > SCHEMA_VERSION) throw new Damaged("it was written by a newer version");
    const check = v.parse(v.object({ quick_check: v.string() }), database.query("PRAGMA quick_check(1)").get());
    if (check.quick_check !== "ok") throw new Damaged(check.quick_check);
    // Nothing is written into a state that is as it should be: it can be read on a full disk.
    if (version.user_version < SCHEMA_VERSION) database.transaction(() => createTables(database))();
    database.query("SELECT name, spec FROM specs LIMIT 1").all();
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function createTables(database: Database): void {
  database.run("CREATE TABLE specs (name TEXT PRIMARY KEY, spec TEXT NOT NULL) STRICT");
  database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
}

class Damaged extends Error {}

/** Another file is the answer to these; for a full disk or a lock it would not help. */
function isDamage(error: unknown): boolean {
  if (error instanceof Damaged || error instanceof v.ValiError) return true;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return /^(SQLITE_NOTADB|SQLITE_CORRUPT|SQLITE_ERROR|SQLITE_FORMAT|EISDIR)/.test(code);
}

function moveAside(path: string): string {
  const aside = `${path}.bad-${Date.now()}`;
  renameSync(path, aside);
  // A journal without its file would be replayed into the new one.
  for (const suffix of ["-journal", "-wal", "-shm"]) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  const kept = readdirSync(dirname(path))
    .filter((name) => name.startsWith(`${basename(path)}.bad-`))
    .toSorted()
    .reverse();
  for (const old of kept.slice(ASIDE_KEPT)) rmSync(join(dirname(path), old), { recursive: true, force: true });
  return aside;
}

function makePrivate(path: string): void {
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
