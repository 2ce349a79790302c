/**
 * One manager per data directory. The lock is SQLite's lock on an empty file of its own: the system releases it with
 * the process, however that ends, and on every platform. It is not on `state.db`, because a damaged state is moved
 * aside: a lock that moves away with its file would let a second manager in.
 */
import { Database } from "bun:sqlite";
import { closeSync, openSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { DATA_FILE } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";
import { replaceFile } from "./files.ts";

const LOCK_FILE = "manager.lock";

export class DataLock {
  private constructor(
    private readonly dir: string,
    private readonly database: Database,
  ) {}

  /** Faults: `conflict`, naming the process that holds the directory. */
  static take(dir: string): DataLock {
    const lock = new DataLock(dir, lockedDatabase(dir));
    replaceFile(join(dir, DATA_FILE.pid), String(process.pid));
    return lock;
  }

  release(): void {
    rmSync(join(this.dir, DATA_FILE.pid), { force: true });
    this.database.close();
  }
}

function lockedDatabase(dir: string): Database {
  const file = join(dir, LOCK_FILE);
  for (let attempt = 0; ; attempt += 1) {
    let database: Database | undefined;
    try {
      closeSync(openSync(file, "a", 0o600));
      database = new Database(file);
      database.run("PRAGMA locking_mode = EXCLUSIVE");
      // Locks the file at once and writes nothing: it works on a full disk, too.
      database.run("BEGIN EXCLUSIVE");
      return database;
    } catch (error) {
      database?.close();
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      if (code.startsWith("SQLITE_BUSY")) throw held(dir);
      // Garbage in it cannot be locked by anybody, so nobody's lock is lost by emptying it.
      if (code !== "SQLITE_NOTADB" || attempt > 0) {
        throw new Fault("forbidden", `the data directory ${dir} cannot be locked (${code || String(error)})`, {
          cause: error,
          hint: "The directory must be yours and on a file system with locks; LINKSPAN_DATA_DIR names another.",
        });
      }
      truncateSync(file, 0);
    }
  }
}

function held(dir: string): Fault {
  const pid = readPid(dir);
  return new Fault("conflict", `a manager${pid ? ` (process ${pid})` : ""} already runs on the data directory ${dir}`, {
    hint: `Use that one (linkspan ps), end it${pid ? ` (kill ${pid})` : ""}, or set LINKSPAN_DATA_DIR to another directory.`,
    data: { dataDir: dir, ...(pid === undefined ? {} : { pid }) },
  });
}

function readPid(dir: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(dir, DATA_FILE.pid), "utf8"));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
