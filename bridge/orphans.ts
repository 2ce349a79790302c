/**
 * What falls to the first process of a container where the engine gives it no init: descendants that have lost their
 * parents become its children, and stay zombies until it asks for their end. Bun asks only for those that it has started.
 */
import { dlopen } from "bun:ffi";

const INTERVAL_MS = 1_000;
/** A flood of them must not keep the bridge from its work. */
const AT_ONCE = 256;

const P_ALL = 0;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x1000000;
/** siginfo_t, and where its si_pid is on 64-bit Linux. */
const SIGINFO_BYTES = 128;
const SI_PID = 16;

/** Children that Bun has started and will ask for itself. */
export const started = new Set<number>();

/** Does nothing unless this process is the first one of its namespace. */
export function reapOrphans(): void {
  if (process.platform !== "linux" || process.pid !== 1) return;
  const { waitid, waitpid } = dlopen("libc.so.6", {
    waitid: { args: ["i32", "u32", "ptr", "i32"], returns: "i32" },
    waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
  }).symbols;
  const info = Buffer.alloc(SIGINFO_BYTES);
  const reap = () => {
    for (let i = 0; i < AT_ONCE; i++) {
      info.fill(0);
      // Only a look: to take the end of a child of Bun's would leave Bun waiting for ever.
      if (waitid(P_ALL, 0, info, WNOHANG | WEXITED | WNOWAIT) !== 0) return;
      const pid = info.readInt32LE(SI_PID);
      if (pid === 0 || started.has(pid)) return;
      waitpid(pid, null, WNOHANG);
    }
  };
  setInterval(reap, INTERVAL_MS).unref();
}
