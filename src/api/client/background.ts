/** A manager started in the background: detached, on the socket only, its words in a file of the data directory. */
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DATA_FILE } from "../../base/data-dir.ts";
import { Fault } from "../../base/fault.ts";
import { COMPILED } from "../../base/version.ts";

/** How the manager is told that nobody looks at it: no TCP ports, and an end when it is idle. */
const BACKGROUND_ARGS = ["serve", "--background-child", "--idle-exit"];

/** Says that a front is starting a manager right now: its process id. Only spares work; the state's lock decides. */
const CLAIM_FILE = "manager.starting";
const CLAIM_MS = 10_000;
const LOG_FILE = "background.log";
const LOG_BYTES_MAX = 1024 * 1024;
const TAIL_BYTES = 4096;

/** Whether this process is the one to start the manager. A claim of a dead process, or an old one, is taken over. */
export function claimStart(dir: string): boolean {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unwritable(dir, error);
  }
  const file = join(dir, CLAIM_FILE);
  if (writeClaim(file)) return true;
  if (!isStale(file)) return false;
  rmSync(file, { force: true });
  return writeClaim(file);
}

export class BackgroundManager {
  private constructor(
    private readonly child: Bun.Subprocess,
    private readonly dir: string,
    private readonly log: string,
    /** Where in the log this manager's words begin. */
    private readonly from: number,
  ) {}

  static start(dir: string, env: Record<string, string | undefined>, idleExitS: number): BackgroundManager {
    mkdirSync(join(dir, DATA_FILE.logs), { recursive: true, mode: 0o700 });
    const log = join(dir, DATA_FILE.logs, LOG_FILE);
    const size = sizeOf(log);
    if (size > LOG_BYTES_MAX) renameSync(log, `${log}.1`);
    const from = sizeOf(log);
    const words = openSync(log, "a", 0o600);
    // These are about this process: the child is a manager of its own, and no Bun command line.
    const { LINKSPAN_URL: _url, LINKSPAN_TOKEN: _token, BUN_BE_BUN: _bun, ...inherited } = env;
    try {
      const child = Bun.spawn([...executable(), ...BACKGROUND_ARGS, String(idleExitS)], {
        // Not the caller's: the manager outlives it, and would keep its folder from being unmounted.
        cwd: dir,
        env: { ...inherited, LINKSPAN_DATA_DIR: dir },
        stdin: "ignore",
        stdout: words,
        stderr: words,
        // A session of its own: the terminal's Ctrl-C and hang-up are for the front, not for the manager.
        detached: true,
      });
      child.unref();
      return new BackgroundManager(child, dir, log, from);
    } finally {
      closeSync(words);
    }
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Why there is no manager, in its own words. */
  fault(): Fault {
    const words = this.words();
    const how = this.ended
      ? `ended with ${this.child.signalCode ?? `exit code ${this.child.exitCode}`}`
      : "does not answer in time";
    return new Fault(
      "unreachable",
      `the manager that was started in the background ${how}${words ? `: ${words}` : ""}`,
      {
        hint: `\`linkspan serve\` in a terminal shows more; its log is ${this.log}.`,
        data: { stderr: words },
      },
    );
  }

  /** Ends the claim; the manager runs on. */
  letGo(): void {
    rmSync(join(this.dir, CLAIM_FILE), { force: true });
  }

  private words(): string {
    const buffer = Buffer.alloc(TAIL_BYTES);
    try {
      const file = openSync(this.log, "r");
      try {
        const start = Math.max(this.from, sizeOf(this.log) - TAIL_BYTES);
        return buffer.toString("utf8", 0, readSync(file, buffer, 0, TAIL_BYTES, start)).trim();
      } finally {
        closeSync(file);
      }
    } catch {
      return "";
    }
  }
}

function executable(): string[] {
  return COMPILED ? [process.execPath] : [process.execPath, join(import.meta.dir, "../../main.ts")];
}

function writeClaim(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw unwritable(file, error);
  }
}

function unwritable(path: string, cause: unknown): Fault {
  return new Fault("forbidden", `the data directory cannot be written: ${path}`, {
    cause,
    hint: "Set LINKSPAN_DATA_DIR to a directory of your own.",
  });
}

function isStale(file: string): boolean {
  try {
    // Either direction: a clock that was set back must not keep everybody waiting.
    if (Math.abs(Date.now() - statSync(file).mtimeMs) > CLAIM_MS) return true;
    const pid = Number(readFileSync(file, "utf8"));
    // Empty for the moment between its making and its writing.
    if (pid > 0) process.kill(pid, 0);
    return false;
  } catch (error) {
    // EPERM: it lives, as somebody else's.
    return !(error instanceof Error && "code" in error && error.code === "EPERM");
  }
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
}
