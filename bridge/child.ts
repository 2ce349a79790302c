/**
 * One server process, from its start to the report of its end: stdin end, then SIGTERM, then SIGKILL for the whole
 * process group, and every way to end leads to one report, once.
 */
import { type MemoryEvents, makeExpendable, readMemoryEvents } from "./memory.ts";
import { explainStartFailure } from "./start-failure.ts";
import { StderrTail } from "./stderr-tail.ts";
import { type ServerCommand, type Stdio, spawnServer } from "./stdio.ts";
import { type ExitReport, LIMITS } from "./wire.ts";

/** After the process has ended, its output may still be on the way; descendants may hold the streams for ever. */
const LAST_WORDS_MS = 250;

export interface ChildEvents {
  output(chunk: Uint8Array): void;
  /** All that was written has been taken, after some had to wait. */
  inputEmpty(): void;
  /** A range of stderr lines for the log; the server is held back until the promise is settled. */
  log(range: Uint8Array): Promise<void> | undefined;
  /** The last event, exactly once: the process is dead and so is its group. */
  ended(report: Omit<ExitReport, "session">): void;
}

/** The same of a session that may have to share the process. */
export interface SessionEvents extends ChildEvents {
  /** Bytes that wait for its client. */
  waitingBytes(): number;
}

/** A server process, as its session sees it. */
export type ServerProcess = Pick<Child, "pid" | "queuedBytes" | "write" | "pauseOutput" | "resumeOutput" | "stop"> & {
  /** It has other sessions, too: `pauseOutput` holds it back for a moment only. */
  readonly shared?: true;
};

/** Has a server process for a session. Throws StartFailure. */
export type Launch = (command: ServerCommand, stopMs: number, events: ChildEvents) => ServerProcess;

export const launchChild: Launch = (command, stopMs, events) => new Child(command, stopMs, events);

/** The server could not be started; the message is a sentence that names the reason. */
export class StartFailure extends Error {}

export class Child {
  private readonly stdio: Stdio;
  private readonly tail: StderrTail;
  private readonly memoryBefore: MemoryEvents | undefined;
  private exit: { code: number | null; signal: string | null } | undefined;
  private outputOver = false;
  private errorsOver = false;
  private ended = false;
  /** What we have done to end it, and whether somebody asked for that; for the report. */
  private step: "running" | "stdin ended" | "SIGTERM" | "SIGKILL" = "running";
  private asked = false;
  /** When SIGKILL is due, on the monotonic clock. */
  private killAt = Number.POSITIVE_INFINITY;
  private timers: ReturnType<typeof setTimeout>[] = [];
  private lastBytes = 0;
  private logWait: Promise<void> | undefined;
  private readonly dead = Promise.withResolvers<void>();

  /** Throws StartFailure. */
  constructor(
    command: ServerCommand,
    private readonly stopMs: number,
    private readonly events: ChildEvents,
  ) {
    this.memoryBefore = readMemoryEvents();
    this.tail = new StderrTail((range) => (this.logWait = events.log(range)));
    try {
      this.stdio = spawnServer(command, {
        output: (chunk) => this.output(chunk),
        outputEnded: () => this.outputEnded(),
        inputEmpty: () => events.inputEmpty(),
        // It can be asked nothing more: let it finish.
        inputBroken: () => this.wind(stopMs),
        stderr: (chunk) => this.stderr(chunk),
        stderrEnded: () => this.stderrEnded(),
        exited: (code, signal) => this.exited(code, signal),
      });
    } catch (error) {
      throw new StartFailure(`the server could not be started: ${explainStartFailure(command, error)}`, {
        cause: error,
      });
    }
    makeExpendable(this.pid, this.memoryBefore);
  }

  get pid(): number {
    return this.stdio.pid;
  }

  get queuedBytes(): number {
    return this.stdio.queuedBytes;
  }

  write(bytes: Uint8Array): void {
    this.stdio.write(bytes);
  }

  /** Of a dead process only what is on the way already can come, which is read in any case. */
  pauseOutput(): void {
    if (!this.exit) this.stdio.pauseOutput();
  }

  resumeOutput(): void {
    this.stdio.resumeOutput();
  }

  /**
   * Ends standard input now, sends SIGTERM after half of `budgetMs` and SIGKILL after all of it. A later call can only
   * make it faster.
   */
  stop(budgetMs = this.stopMs): void {
    this.asked = true;
    this.wind(budgetMs);
  }

  private wind(budgetMs: number): void {
    const killAt = performance.now() + budgetMs;
    if (this.exit || killAt >= this.killAt) return;
    this.killAt = killAt;
    if (this.step === "running") this.step = "stdin ended";
    this.stdio.endInput();
    this.timers.push(setTimeout(() => this.signal("SIGTERM"), budgetMs / 2));
    this.timers.push(setTimeout(() => this.signal("SIGKILL"), budgetMs));
  }

  private signal(name: "SIGTERM" | "SIGKILL"): void {
    if (this.exit || this.step === "SIGKILL" || this.step === name) return;
    this.step = name;
    killGroup(this.pid, name);
  }

  private stderr(chunk: Uint8Array): Promise<void> | undefined {
    this.logWait = undefined;
    this.tail.push(chunk);
    // The last lines of a dead process are read whether or not somebody reads the log.
    return this.logWait && !this.exit ? Promise.race([this.logWait, this.dead.promise]) : undefined;
  }

  private output(chunk: Uint8Array): void {
    this.events.output(chunk);
    if (!this.exit) return;
    this.lastBytes += chunk.length;
    // Only somebody who has escaped from the group can write that much now.
    if (this.lastBytes > LIMITS.queueBytes) this.finish();
  }

  private stderrEnded(): void {
    this.errorsOver = true;
    this.finishIfOver();
  }

  private outputEnded(): void {
    this.outputOver = true;
    // A server without output is no server any more, even if it goes on running.
    if (!this.exit) this.wind(this.stopMs);
    this.finishIfOver();
  }

  private exited(code: number | null, signal: string | null): void {
    this.exit = { code: signal === null ? code : null, signal };
    for (const timer of this.timers) clearTimeout(timer);
    this.timers = [];
    // Descendants that stayed in the group would hold the streams, and nothing else would end them.
    killGroup(this.pid, "SIGKILL");
    this.dead.resolve();
    this.stdio.resumeOutput();
    this.timers.push(setTimeout(() => this.finish(), LAST_WORDS_MS));
    this.finishIfOver();
  }

  private finishIfOver(): void {
    if (this.exit && this.outputOver && this.errorsOver) this.finish();
  }

  private finish(): void {
    const exit = this.exit;
    if (!exit || this.ended) return;
    this.ended = true;
    for (const timer of this.timers) clearTimeout(timer);
    this.stdio.release();
    this.tail.end();
    this.events.ended({ ...exit, ...this.reason(exit), stderr: this.tail.lines() });
  }

  private reason({ code, signal }: { code: number | null; signal: string | null }): { oom: boolean; reason: string } {
    const memory = readMemoryEvents();
    const kills = (memory?.kills ?? 0) - (this.memoryBefore?.kills ?? 0);
    // A shell reports its child's SIGKILL as 137.
    const killed = (signal === "SIGKILL" && this.step !== "SIGKILL") || code === 137;
    if (killed && kills > 0) {
      const limit = memory?.limitBytes === undefined ? "" : ` (the limit is ${mebibytes(memory.limitBytes)} MiB)`;
      return { oom: true, reason: `the system ran out of memory and killed the server${limit}` };
    }
    const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
    if (this.asked) return { oom: false, reason: `the server was stopped (${this.step}) and ended with ${how}` };
    if (this.step === "running" || this.step === "stdin ended") {
      return { oom: false, reason: `the server ended by itself with ${how}` };
    }
    const reason = `the server closed its input or output, was stopped (${this.step}) and ended with ${how}`;
    return { oom: false, reason };
  }
}

function mebibytes(bytes: number): string {
  return String(Math.round((bytes / 1024 ** 2) * 10) / 10);
}

/** Signals the process group that the child leads; that it is gone already is fine. */
function killGroup(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(process.platform === "win32" ? pid : -pid, signal);
  } catch {}
}
