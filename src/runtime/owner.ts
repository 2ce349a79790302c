/**
 * Whose something on the engine is, written so that another manager can find out later whether that owner is gone: the
 * data directory, whose lock only a living manager holds, and the process that made it. A path and a process id mean
 * something on one machine and in one namespace only, so these are written down, too.
 */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import * as v from "valibot";
import { identify, isAlive } from "./process/identity.ts";

const short = v.pipe(v.string(), v.maxLength(128));

const owner = v.object({
  /** Machine and PID namespace: where `pid` and `start` mean a process. */
  host: short,
  /** Mount namespace: where a path that is missing is missing. */
  mounts: short,
  /** The manager's own data directory; absent where a process works for itself, such as one that fills a volume. */
  dir: v.optional(v.pipe(v.string(), v.startsWith("/"), v.maxLength(4096))),
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** When that process started (process-identity.ts). */
  start: short,
});
export type Owner = v.InferOutput<typeof owner>;

/** The value of the label `linkspan.owner` for what this process makes. */
export function ownerLabel(dir?: string): string {
  return JSON.stringify({ ...here(), ...(dir === undefined ? {} : { dir }), ...self() } satisfies Owner);
}

/** Undefined for what was made without the label, or by something else. */
export function parseOwner(label: string | undefined): Owner | undefined {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), owner), label);
  return parsed.success ? parsed.output : undefined;
}

/** Whether process ids of that owner mean something here. */
export function isHere({ host }: Owner): boolean {
  return host === here().host;
}

/** Whether paths of that owner are the same paths here. */
export function seesSameFiles({ host, mounts }: Owner): boolean {
  return host === here().host && mounts === here().mounts;
}

/** Whether the process that made it still runs; only where `isHere`. */
export function makerRuns({ pid, start }: Owner): boolean {
  return pid === process.pid ? start === self().start : isAlive({ pid, start });
}

let place: { host: string; mounts: string } | undefined;

function here(): { host: string; mounts: string } {
  place ??= {
    host: createHash("sha256")
      .update(`${machine()} ${namespace("pid")}`)
      .digest("hex")
      .slice(0, 16),
    mounts: namespace("mnt"),
  };
  return place;
}

let me: { pid: number; start: string } | undefined;

function self(): { pid: number; start: string } {
  me ??= identify(process.pid) ?? { pid: process.pid, start: "" };
  return me;
}

/** The machine's own id where it has one; cloned containers have none, and their names differ. */
function machine(): string {
  try {
    return `${readFileSync("/etc/machine-id", "utf8").trim()} ${hostname()}`;
  } catch {
    return hostname();
  }
}

function namespace(kind: "pid" | "mnt"): string {
  try {
    return readlinkSync(`/proc/self/ns/${kind}`);
  } catch {
    // Not Linux: there is one of each.
    return "";
  }
}
