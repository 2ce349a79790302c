/**
 * Whether the kernel has killed for memory, as the control group counts it. A killed child leaves no other trace: the
 * engine's own OOMKilled speaks of the container's first process only.
 */
import { readKernelFile, writeKernelFile } from "./native.ts";

/** Counter and limit, for version 2 and version 1 of control groups; inside a container its own group is at the root. */
const GROUPS = [
  { root: "/sys/fs/cgroup", line: /^0::(.*)$/m, events: "memory.events", limit: "memory.max" },
  {
    root: "/sys/fs/cgroup/memory",
    line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m,
    events: "memory.oom_control",
    limit: "memory.limit_in_bytes",
  },
] as const;

export interface MemoryEvents {
  /** How many processes of the group the kernel has killed for memory. */
  kills: number;
  /** Undefined where there is none. */
  limitBytes: number | undefined;
}

/**
 * Where memory is short, a server goes before the bridge: else the kernel takes the largest, which may be the bridge, and
 * with it every other server. As if it used half the limit more than it does.
 */
const EXPENDABLE = "500";

/** Of a process with a memory limit, which its own descendants will share. */
export function makeExpendable(pid: number, memory: MemoryEvents | undefined): void {
  if (memory?.limitBytes !== undefined) writeKernelFile(`/proc/${pid}/oom_score_adj`, EXPENDABLE);
}

/** Undefined where the system does not tell. */
export function readMemoryEvents(): MemoryEvents | undefined {
  if (process.platform !== "linux") return undefined;
  const membership = readKernelFile("/proc/self/cgroup") ?? "";
  for (const group of GROUPS) {
    const path = group.line.exec(membership)?.[1] ?? "/";
    // The path is the host's: in a container with its own view of the groups it does not exist.
    for (const folder of [`${group.root}${path === "/" ? "" : path}`, group.root]) {
      const kills = /^oom_kill (\d+)$/m.exec(readKernelFile(`${folder}/${group.events}`) ?? "")?.[1];
      if (kills === undefined) continue;
      const limit = Number(readKernelFile(`${folder}/${group.limit}`) ?? "");
      // Version 1 writes "no limit" as a number near 2^63.
      const limited = Number.isFinite(limit) && limit > 0 && limit < 2 ** 60;
      return { kills: Number(kills), limitBytes: limited ? limit : undefined };
    }
  }
  return undefined;
}
