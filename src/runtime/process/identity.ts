/**
 * Which process is meant, for sure. A PID alone is not enough: it is given out again. PID and start time together are,
 * until the next boot, which is part of the start time here.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import * as v from "valibot";
import { sleep } from "../../base/deadline.ts";
import { isScarcity } from "../../base/fault.ts";

export const processIdentity = v.object({
  pid: v.pipe(v.number(), v.integer(), v.minValue(2)),
  /** When it started, in whatever form the platform tells; compared, never computed with. */
  start: v.string(),
});
export type ProcessIdentity = v.InferOutput<typeof processIdentity>;

/** In the environment of a bridge and of all that it starts, so that what has lost its parent is still found (Linux). */
export const FAMILY_VARIABLE = "LINKSPAN_PROCESS";

/** The value of that in what a process runs for itself, such as an installation: of no use to anybody once it is gone. */
export function helperMark({ pid, start }: ProcessIdentity): string {
  return `helper-of-${pid}-${start}`;
}

const onLinux = process.platform === "linux";
/** USER_HZ: the same on every Linux that Bun runs on. */
const TICKS_PER_SECOND = 100;

/** The process that has this PID now; undefined where there is none, or where it only waits to be reaped. */
export function identify(pid: number): ProcessIdentity | undefined {
  const start = onLinux ? startOnLinux(pid) : startByPs(pid);
  return start === undefined ? undefined : { pid, start };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.start === identity.start;
}

/** When the process with this PID started, unix milliseconds by today's clock; undefined where there is none. */
export function startedAtMs(pid: number): number | undefined {
  if (!onLinux) {
    const start = Date.parse(startByPs(pid) ?? "");
    return Number.isNaN(start) ? undefined : start;
  }
  const [state, ticks] = [statFields(pid)?.[0], Number(statFields(pid)?.[19])];
  if (Number.isNaN(ticks) || state === "Z" || state === "X") return undefined;
  // Both are counted from the boot, so that a clock which was set since does not matter.
  const upSeconds = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]);
  return Date.now() - (upSeconds - ticks / TICKS_PER_SECOND) * 1_000;
}

/** Whether somebody has stopped it with SIGSTOP (seen on Linux). */
export function isFrozen({ pid }: ProcessIdentity): boolean {
  return onLinux && statFields(pid)?.[0] === "T";
}

/** Sends the signal if it is still that process. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  killQuietly(identity.pid, signal);
}

/** Whether all have ended within `ms`. */
export async function endWithin(identities: ProcessIdentity[], ms: number): Promise<boolean> {
  const until = performance.now() + ms;
  for (;;) {
    if (!identities.some(isAlive)) return true;
    if (performance.now() >= until) return false;
    await sleep(Math.min(10, ms));
  }
}

/** The bridge, what it started, and what those started: those with the mark (Linux), and the descendants. */
export function family(mark: string, bridge: ProcessIdentity | undefined): number[] {
  const parents = onLinux ? parentsOnLinux() : parentsByPs();
  const members = new Set(onLinux ? marked(mark, parents.keys()) : []);
  if (bridge && isAlive(bridge)) members.add(bridge.pid);
  // Each round finds the children of the round before; the tree is no deeper than there are processes.
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const [pid, parent] of parents) if (members.has(parent)) members.add(pid);
  }
  return [...members];
}

/** Kills the family, again until none is left that was forked meanwhile. Bounded: a fork bomb can win a race. */
export async function killFamily(mark: string, bridge: ProcessIdentity | undefined): Promise<void> {
  for (let round = 0; round < 50; round += 1) {
    const members = family(mark, bridge);
    if (members.length === 0) return;
    for (const pid of members) killQuietly(pid, "SIGKILL");
    await sleep(10);
  }
}

function killQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended in between, which is what was wanted.
  }
}

let boot: string | undefined;

function startOnLinux(pid: number): string | undefined {
  const fields = statFields(pid);
  const [state, start] = [fields?.[0], fields?.[19]];
  if (start === undefined || state === "Z" || state === "X") return undefined;
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return `${boot}:${start}`;
}

/** The fields of /proc/PID/stat from the third (state) on; the second is a name that may contain anything. */
export function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch (error) {
    // A process that cannot be looked at has not ended for that.
    if (isScarcity(error)) throw error;
    return undefined;
  }
}

function parentsOnLinux(): Map<number, number> {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    const fields = Number.isInteger(pid) ? statFields(pid) : undefined;
    if (fields && fields[0] !== "Z" && fields[0] !== "X") parents.set(pid, Number(fields[1]));
  }
  return parents;
}

function marked(mark: string, pids: Iterable<number>): number[] {
  const wanted = `\0${FAMILY_VARIABLE}=${mark}\0`;
  return [...pids].filter((pid) => {
    try {
      return `\0${readFileSync(`/proc/${pid}/environ`, "latin1")}\0`.includes(wanted);
    } catch {
      // Another user's process, or one that has ended.
      return false;
    }
  });
}

function startByPs(pid: number): string | undefined {
  const [line] = ps(["-o", "stat=,lstart=", "-p", String(pid)]);
  const [, state, start] = /^(\S+)\s+(.+)$/.exec(line ?? "") ?? [];
  return state?.startsWith("Z") ? undefined : start;
}

function parentsByPs(): Map<number, number> {
  const pairs = ps(["-axo", "pid=,ppid="]).map((line) => line.split(/\s+/).map(Number));
  return new Map(pairs.map(([pid = 0, parent = 0]) => [pid, parent]));
}

function ps(args: string[]): string[] {
  const { stdout } = spawnSync("ps", args, { encoding: "utf8", timeout: 5_000, env: { ...process.env, LC_ALL: "C" } });
  return (stdout ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
