/**
 * Who removes what a killed manager has left, when no other one comes: a process of its own that waits for the
 * manager's end on a pipe, which the system closes however the manager ends. Until then it is the system's shell,
 * blocked in a read: 0.2 MB, where a Bun would have 25. Then it becomes `linkspan caretaker` (src/caretaker.ts).
 */
import { existsSync } from "node:fs";
import { identify } from "../runtime/process/identity.ts";
import { selfCommand } from "../runtime/process/plan.ts";
import type { RuntimeKind } from "../runtime/runtime.ts";

/** Who is looked after; the arguments of `linkspan caretaker`, in this order. */
export interface Charge {
  /** The manager's own data directory. */
  dir: string;
  instance: string;
  /** `auto`: it is not known yet. */
  runtime: RuntimeKind | "auto";
  /** Where the runtime keeps what managers share. */
  runtimeDir: string;
}

const SHELL = "/bin/sh";
/** A fixed text: what follows it are arguments to the shell, never words of its language. */
const WAIT_THEN_BECOME = 'read -r _; exec "$@"';

/** Ends with `dismiss`; without it, it begins its work as soon as this process has ended. */
export interface Caretaker {
  dismiss(): void;
}

/** Undefined where none can be started: then the next manager cleans up. */
export function startCaretaker({ dir, instance, runtime, runtimeDir }: Charge): Caretaker | undefined {
  const start = identify(process.pid)?.start ?? "";
  const command = [...selfCommand(), "caretaker", dir, instance, runtime, runtimeDir, String(process.pid), start];
  const waiting = existsSync(SHELL) ? [SHELL, "-c", WAIT_THEN_BECOME, "linkspan-caretaker", ...command] : command;
  try {
    // A session of its own: what is sent to the manager's group or terminal is not for it.
    const child = Bun.spawn(waiting, { cwd: "/", stdin: "pipe", stdout: "ignore", stderr: "ignore", detached: true });
    child.unref();
    return { dismiss: () => child.kill("SIGKILL") };
  } catch {
    return undefined;
  }
}
