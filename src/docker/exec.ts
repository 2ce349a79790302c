/**
 * Commands inside containers, and their end. The engine has no call that ends one (moby/moby#9098): it goes on when nobody reads its output any
 * more, and Docker's own client leaves it at that. So each command has a mark in its environment, which what it starts inherits,
 * and whatever has the mark is killed: by a shell of the container as the same user, wherever the engine is; where the image has
 * none, from here, if the engine is this machine's and its processes are ours to kill.
 */
import { readdirSync, readFileSync } from "node:fs";
import * as v from "valibot";
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { at } from "./containers.ts";
import type { Engine } from "./engine.ts";
import { framesOf } from "./logs.ts";

const MARK = "LINKSPAN_COMMAND";
/** For all of it; a command has `TERM_MS` of it to end by itself. */
const END_MS = 5_000;
const TERM_MS = 1_000;
const LOOK_MS = 50;

export interface Command {
  Cmd: string[];
  /** `NAME=value`. */
  Env: string[];
  WorkingDir?: string;
  User?: string;
  Privileged?: boolean;
}

export type Taker = (source: "stdout" | "stderr", bytes: Uint8Array) => void;

const created = v.object({ Id: v.string() });
const inspected = v.object({ ExitCode: v.nullable(v.number()), Running: v.boolean() });

/**
 * Runs it to its end and resolves with its exit code. With the deadline or the signal the command is ended, too, and the fault
 * (`timeout`, `cancelled`) says whether that was possible.
 */
export async function runCommand(
  engine: Engine,
  container: string,
  command: Command,
  take: Taker,
  deadline: Deadline,
): Promise<number> {
  const what = `running a command in ${container.slice(0, 12)}`;
  const mark = `${MARK}=${crypto.randomUUID()}`;
  const body = { ...command, Env: [...command.Env, mark], AttachStdout: true, AttachStderr: true };
  const { Id } = await engine.call({ what, method: "POST", path: at(container, "exec"), body }, created, deadline);
  try {
    await output(engine, Id, take, deadline, what);
    return await exitCode(engine, Id, deadline, what);
  } catch (error) {
    if (!deadline.passed) throw error;
    const { kind, message } = deadline.fault(what);
    const ended = await end(engine, { container, id: Id, mark, ...command }).catch(() => false);
    throw new Fault(kind, `${message}; ${ended ? "it was ended" : "it still runs"}`, {
      ...(ended ? {} : { hint: "The image has no shell that could end it; docker_restart_container does." }),
      cause: error,
    });
  }
}

async function output(engine: Engine, id: string, take: Taker, deadline: Deadline, what: string): Promise<void> {
  const request = { what, method: "POST", path: `/exec/${id}/start`, body: { Detach: false, Tty: false } } as const;
  const stream = await engine.stream(request, deadline, deadline.signal);
  for await (const { source, bytes } of framesOf(stream)) take(source, bytes);
}

function inspect(engine: Engine, id: string, deadline: Deadline) {
  const request = { what: "looking at a command", method: "GET", path: `/exec/${id}/json` } as const;
  return engine.call(request, inspected, deadline);
}

/** A stream that was cut may end as if all had been said. */
async function exitCode(engine: Engine, id: string, deadline: Deadline, what: string): Promise<number> {
  for (;;) {
    if (deadline.passed) throw deadline.fault(what);
    const { Running, ExitCode } = await inspect(engine, id, deadline);
    if (!Running && ExitCode !== null) return ExitCode;
    await sleep(LOOK_MS, deadline.signal);
  }
}

interface Running extends Command {
  container: string;
  id: string;
  mark: string;
}

/** Whether it has ended. */
async function end(engine: Engine, running: Running): Promise<boolean> {
  const deadline = Deadline.in(END_MS);
  for (const signal of ["TERM", "KILL"] as const) {
    // Whose start was under way may be about to begin.
    if (await over(engine, running.id, signal === "TERM" ? 0 : TERM_MS, deadline)) return true;
    const reached = (await killInside(engine, running, signal, deadline)) || killFromHere(engine, running, signal);
    if (!reached) return over(engine, running.id, 0, deadline);
  }
  return over(engine, running.id, deadline.remainingMs, deadline);
}

async function over(engine: Engine, id: string, waitMs: number, deadline: Deadline): Promise<boolean> {
  const until = deadline.within(waitMs);
  for (;;) {
    const { Running, ExitCode } = await inspect(engine, id, deadline);
    if (!Running && ExitCode !== null) return true;
    if (until.passed) return false;
    await sleep(Math.min(LOOK_MS, until.remainingMs));
  }
}

/** Nothing but what every shell has built in. `$1`: the mark, `$2`: the signal. */
const KILL = `for p in /proc/[0-9]*; do
  while IFS= read -r e || [ -n "$e" ]; do
    case "$e" in *"$1"*) kill -"$2" "\${p#/proc/}"; break;; esac
  done < "$p/environ"
done 2>/dev/null; exit 0`;
const SHELLS = [["sh"], ["/bin/sh"], ["/bin/busybox", "sh"]];

/** As the same user: another one may neither see the mark nor send signals. Whether there is a shell. */
async function killInside(engine: Engine, running: Running, signal: string, deadline: Deadline): Promise<boolean> {
  const { container, mark, User, Privileged = false } = running;
  for (const shell of SHELLS) {
    const Cmd = [...shell, "-c", KILL, "sh", mark, signal];
    const body = { Cmd, AttachStdout: true, AttachStderr: true, Privileged, ...(User === undefined ? {} : { User }) };
    const what = "ending a command";
    try {
      const { Id } = await engine.call({ what, method: "POST", path: at(container, "exec"), body }, created, deadline);
      await output(engine, Id, () => {}, deadline, what);
      if ((await inspect(engine, Id, deadline)).ExitCode === 0) return true;
    } catch {
      // That there is no such program is an error of the engine.
    }
  }
  return false;
}

/** Only processes of that container, and of those only ones with the mark. Whether there are any that can be seen from here. */
function killFromHere({ endpoint }: Engine, { container, mark }: Running, signal: "TERM" | "KILL"): boolean {
  if (endpoint.kind !== "socket" || process.platform !== "linux") return false;
  let reached = false;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(container)) continue;
      if (!readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(mark)) continue;
      process.kill(Number(pid), `SIG${signal}`);
      reached = true;
    } catch {
      // Somebody else's, or gone by now.
    }
  }
  return reached;
}
