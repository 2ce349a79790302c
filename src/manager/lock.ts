/**
 * One manager per data directory. The lock is SQLite's lock on an empty file of its own: the system releases it with
 * the process, however that ends, and on every platform. It is not on `state.db`, because a damaged state is moved
 * aside: a lock that moves away with its file would let a second manager in.
 */
import { Database } from "bun:sqlite";
import { closeSync, existsSync, openSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { DATA_FILE } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";
import { replaceFile } from "../base/files.ts";

const LOCK_FILE = "manager.lock";
const CARETAKER_FILE = "caretaker.lock";
/** Somebody who cleans up after an earlier manager holds the lock for seconds; a new manager waits for him. */
const BORROWED_MS = 10_000;
const POLL_MS = 20;

export class DataLock {
  private constructor(
    private readonly dir: string,
    private readonly database: Database,
  ) {}

  /** Faults: `conflict`, naming the process that holds the directory. */
  static take(dir: string): DataLock {
    const lock = new DataLock(dir, lockedDatabase(dir));
    const file = join(dir, DATA_FILE.pid);
    // Not that of an earlier one, if the disk is too full for ours: the number only helps people, the lock decides.
    rmSync(file, { force: true });
    try {
      replaceFile(file, String(process.pid));
    } catch (error) {
      if (!isFull(error)) throw error;
    }
    return lock;
  }

  release(): void {
    rmSync(join(this.dir, DATA_FILE.pid), { force: true });
    this.database.close();
  }
}

/**
 * The lock of a directory whose manager is gone, for as long as the result is not disposed of; undefined when a manager
 * has it. Makes nothing in the directory, which may be another user's. Fault `forbidden` when it cannot be told.
 */
export function borrowLock(dir: string): Disposable | undefined {
  const file = join(dir, LOCK_FILE);
  if (!existsSync(file)) throw new Fault("forbidden", `the data directory ${dir} has no lock`);
  let database: Database | undefined;
  try {
    database = new Database(file, { create: false, readwrite: true });
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    database.run("BEGIN EXCLUSIVE");
    // Nobody has written it but a manager that was killed: its number may be another process's by now.
    rmSync(join(dir, DATA_FILE.pid), { force: true });
  } catch (cause) {
    database?.close();
    if (isBusy(cause)) return undefined;
    throw new Fault("forbidden", `the data directory ${dir} cannot be locked`, { cause });
  }
  const locked = database;
  return { [Symbol.dispose]: () => locked.close() };
}

function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY");
}

function lockedDatabase(dir: string): Database {
  const file = join(dir, LOCK_FILE);
  const waitUntil = performance.now() + BORROWED_MS;
  let emptied = false;
  for (;;) {
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
      if (isBusy(error)) {
        if (managerRuns(dir) || performance.now() >= waitUntil) throw held(dir);
        // Before anything else of this process runs: nobody is kept waiting by it.
        Bun.sleepSync(POLL_MS);
        continue;
      }
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      // Garbage in it cannot be locked by anybody, so nobody's lock is lost by emptying it.
      if (code !== "SQLITE_NOTADB" || emptied) {
        throw new Fault("forbidden", `the data directory ${dir} cannot be locked (${code || String(error)})`, {
          cause: error,
          hint: "The directory must be yours and on a file system with locks; LINKSPAN_DATA_DIR names another.",
        });
      }
      truncateSync(file, 0);
      emptied = true;
    }
  }
}

/**
 * The process that has written its number into the directory, if it is there: a manager does, a borrower does not. The
 * number of a manager that was killed may be another process's by now: whoever borrows the lock removes it.
 */
export function managerRuns(dir: string): number | undefined {
  const pid = readPid(dir);
  if (pid === undefined) return undefined;
  try {
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    // EPERM: it lives, as somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM" ? pid : undefined;
  }
}

/**
 * Whether a manager has come after one whose number was removed by a borrower. `killed`: it came, and has left without
 * giving the lock back.
 */
export function successor(dir: string): "runs" | "killed" | undefined {
  if (readPid(dir) === undefined) return undefined;
  return managerRuns(dir) === undefined ? "killed" : "runs";
}

/**
 * One caretaker per data directory; undefined when there is one already. A directory that is gone, or cannot be written,
 * has nothing to lock.
 */
export function lockCaretaker(dir: string): Disposable | undefined {
  let database: Database | undefined;
  try {
    database = new Database(join(dir, CARETAKER_FILE), { create: true });
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    database.run("BEGIN EXCLUSIVE");
  } catch (cause) {
    database?.close();
    return isBusy(cause) ? undefined : { [Symbol.dispose]: () => {} };
  }
  const locked = database;
  return { [Symbol.dispose]: () => locked.close() };
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
