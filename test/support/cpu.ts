/** Processor time of a process, user and system together; the kernel counts in steps of 10 ms (Linux). */
import { readFileSync } from "node:fs";

const TICK_MS = 10;

export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** What it uses in that time. */
export async function cpuWithin(pid: number, ms: number): Promise<number> {
  const before = cpuMs(pid);
  await Bun.sleep(ms);
  return cpuMs(pid) - before;
}
