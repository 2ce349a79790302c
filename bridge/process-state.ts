/** What the kernel says of a process: whether it is stopped, and how long it has computed. On Linux only. */
import { readKernelFile } from "./native.ts";

/** The kernel counts in hundredths of a second on every platform that we run on (USER_HZ). */
const MS_PER_TICK = 10;

export interface ProcessState {
  /** By SIGSTOP, or by a debugger. */
  stopped: boolean;
  /** Processor time so far, its own and the system's for it. */
  computedMs: number;
}

/** Undefined where the system does not tell, or the process is gone. */
export function readProcessState(pid: number): ProcessState | undefined {
  if (process.platform !== "linux") return undefined;
  const stat = readKernelFile(`/proc/${pid}/stat`);
  // The name in parentheses may hold anything, a parenthesis too.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (!fields) return undefined;
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { stopped: fields[0] === "T" || fields[0] === "t", computedMs: ticks * MS_PER_TICK };
}
