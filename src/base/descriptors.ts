/** How many files and connections this process can still open, asked of the system: a full table is an accept loop that spins. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { devNull } from "node:os";

/** The rest is for what is under way: servers' starts, the engine, the state. */
const SHARE = 0.75;
/** 10,000 clients of the TCP port with a connection to a bridge each, and REST; also where the system would allow a million. */
const DESCRIPTORS_MAX = 24_000;
/** What every system that is asked no further has at the least (macOS: 10,240, Windows: no limit of this kind). */
const UNKNOWN = 10_000;

/** Whether strangers should get no more descriptors. Costs two system calls. */
export class Descriptors {
  private readonly most: number;

  constructor(limit = softLimit()) {
    this.most = Math.min(Math.floor(limit * SHARE), DESCRIPTORS_MAX);
  }

  /** The next one to be given away is the lowest that is free. */
  get scarce(): boolean {
    try {
      const next = openSync(devNull, "r");
      closeSync(next);
      return process.platform !== "win32" && next >= this.most;
    } catch {
      return true;
    }
  }
}

/** Bun raises its own to the hard limit at its start, so this is read when it is needed. */
function softLimit(): number {
  try {
    const [, soft = ""] = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === "unlimited" ? DESCRIPTORS_MAX : Number.parseInt(soft, 10) || UNKNOWN;
  } catch {
    return UNKNOWN;
  }
}
