/** What a process server uses, summed over the bridge and all that it has started (Linux). */
import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { type Deadline, sleep } from "../../base/deadline.ts";
import { family, type ProcessIdentity, statFields } from "./identity.ts";
import type { Stats } from "../runtime.ts";

/** Processor time is a difference: between two looks this far apart. */
const SAMPLE_MS = 200;
/** USER_HZ, which Linux fixes at 100 on every architecture that Linkspan is built for. */
const TICKS_PER_SECOND = 100;

export async function measure(mark: string, bridge: ProcessIdentity, deadline: Deadline): Promise<Stats> {
  const before = ticks(family(mark, bridge));
  const startedAt = performance.now();
  await deadline.race("measuring the processor time", sleep(SAMPLE_MS));
  const members = family(mark, bridge);
  const after = ticks(members);
  const seconds = (performance.now() - startedAt) / 1000;
  let used = 0;
  // A process that came in between is counted from its start, one that has ended is left out.
  for (const [pid, count] of after) used += count - (before.get(pid) ?? 0);
  const status = members.map(readStatus);
  return {
    memoryBytes: sum(status.map((text) => kibibytes(text, "RssAnon") + kibibytes(text, "RssShmem"))),
    memoryLimitBytes: totalmem(),
    cpuPercent: (Math.max(0, used) / TICKS_PER_SECOND / seconds) * 100,
    pids: sum(status.map((text) => Number(/^Threads:\s+(\d+)/m.exec(text)?.[1] ?? 0))),
  };
}

function ticks(pids: number[]): Map<number, number> {
  return new Map(
    pids.map((pid) => {
      const fields = statFields(pid);
      // utime and stime, fields 14 and 15 of proc(5).
      return [pid, Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0)];
    }),
  );
}

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "latin1");
  } catch {
    return "";
  }
}

/** What is the process's own: pages of files are shared by every process that maps them. */
function kibibytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
