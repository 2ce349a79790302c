/**
 * Who removes what a killed manager has left, when no other one comes: a process of its own that waits for the
 * manager's end on a pipe, which the system closes however the manager ends. Until then it is the system's shell,
 * blocked in a read: 0.1 MB of its own, where a Bun would have 25. Then it becomes `linkspan caretaker` (src/caretaker.ts).
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { identify } from "../runtime/process/identity.ts";
import { selfCommand } from "../runtime/process/plan.ts";
import type { RuntimeKind } from "../runtime/runtime.ts";

/** Who is looked after; the arguments of `linkspan caretaker`, in this order. */
export interface Charge {
  /** The manager's own data directory. */
  dir: string;
  /** `auto`: it is not known yet. */
  runtime: RuntimeKind | "auto";
  /** Where the runtime keeps what managers share. */
  runtimeDir: string;
}

/** A signal that cannot be caught takes no longer. */
const DISMISSED_MS = 500;
const SHELL = "/bin/sh";
/** A fixed text: what follows it are arguments to the shell, never words of its language. */
const WAIT_THEN_BECOME = 'read -r instance; read -r _; exec "$@" "$instance"';

/** Begins its work as soon as this process has ended, unless it is dismissed before. */
export interface Caretaker {
  /** Once it is known; the directory may be gone when it is needed. */
  remember(instance: string): void;
  dismiss(): void;
}

/**
 * Undefined where none can be started, and inside a container, whose processes end with the manager anyway (it is the first
 * one, or there is nothing else in the image): then the next manager cleans up.
 */
export function startCaretaker({ dir, runtime, runtimeDir }: Charge): Caretaker | undefined {
  const start = identify(process.pid)?.start ?? "";
  const command = [
    ...selfCommand(),
    "caretaker",
    resolve(dir),
    runtime,
    resolve(runtimeDir),
    String(process.pid),
    start,
  ];
  const shell = existsSync(SHELL);
  if (process.platform !== "win32" && (!shell || process.pid === 1)) return undefined;
  const waiting = shell ? [SHELL, "-c", WAIT_THEN_BECOME, "linkspan-caretaker", ...command] : command;
  try {
    // A session of its own: what is sent to the manager's group or terminal is not for it.
    const child = Bun.spawn(waiting, { cwd: "/", stdin: "pipe", stdout: "ignore", stderr: "ignore", detached: true });
    child.unref();
    return {
      remember(instance) {
        child.stdin.write(`${instance}\n`);
        // One that somebody has killed cannot be told anything.
        void Promise.resolve(child.stdin.flush()).catch(() => {});
      },
      dismiss() {
        child.kill("SIGKILL");
        // A manager that has ended in order has left no process, not even for a moment.
        for (const until = performance.now() + DISMISSED_MS; identify(child.pid) && performance.now() < until;) {
          Bun.sleepSync(1);
        }
      },
    };
  } catch {
    return undefined;
  }
}
