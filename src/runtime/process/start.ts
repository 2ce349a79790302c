/** One start of a process server: the shim is let go, and the bridge's port is waited for. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { type Deadline, sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { endWithin, signalProcess } from "./identity.ts";
import { lastLines } from "./log.ts";
import { selfCommand, shimEnvironment } from "./plan.ts";
import type { ProcessFolder } from "./record.ts";

const POLL_MS = 5;
/** From the end of a bridge to the end of its shim. */
export const SHIM_END_MS = 2_000;

/**
 * Resolves when the bridge listens. Faults: `server-failed` with the last lines of the log, `timeout` (what was
 * started is stopped again).
 */
export async function startShim(folder: ProcessFolder, deadline: Deadline): Promise<void> {
  const before = folder.read("run");
  // The shim of the last run may still be writing down how that ended.
  if (before) await endWithin([before.shim], Math.min(SHIM_END_MS, deadline.remainingMs));
  folder.forgetRun();
  const incarnation = crypto.randomUUID();
  const failure = spawnShim(folder, incarnation);
  for (;;) {
    const run = folder.read("run");
    if (run?.incarnation === incarnation && folder.address()) return;
    const fault = failure() ?? (folder.read("exit")?.incarnation === incarnation ? startFault(folder) : undefined);
    if (fault) throw fault;
    if (deadline.passed) {
      await abandon(folder, incarnation, failure);
      throw deadline.fault(`starting ${folder.id}`);
    }
    await sleep(POLL_MS);
  }
}

/**
 * Ends what was started, however far it has come, and waits for that: a shim that lived on would write into the
 * folder of the next start. It ends by itself when it finds the stop file before it has a bridge.
 */
async function abandon(folder: ProcessFolder, incarnation: string, failure: () => Fault | undefined): Promise<void> {
  writeFileSync(folder.file("stop"), "0");
  const end = performance.now() + SHIM_END_MS;
  let told = false;
  while (!failure() && performance.now() < end) {
    const run = folder.read("run");
    if (!told && run?.incarnation === incarnation) {
      signalProcess(run.shim, "SIGTERM");
      told = true;
    }
    await sleep(POLL_MS);
  }
}

/** Returns a look at whether the shim has failed. */
function spawnShim(folder: ProcessFolder, incarnation: string): () => Fault | undefined {
  const [program = "", ...args] = [...selfCommand(), "process-shim", folder.path, incarnation];
  // Nothing is inherited that could tie it to this process: no stream, no session, no variable of the user's shell.
  const options = { cwd: folder.path, env: shimEnvironment(), stdio: "ignore", detached: true } as const;
  let fault: Fault | undefined;
  const shim = spawn(program, args, options);
  shim.once("error", (cause) => {
    fault = new Fault("internal", `${program} cannot be started`, { cause });
  });
  shim.once("exit", () => {
    fault = startFault(folder);
  });
  shim.unref();
  return () => fault;
}

function startFault(folder: ProcessFolder): Fault {
  const exit = folder.read("exit");
  const said = lastLines(folder.file("log"), 20).map((line) => line.text);
  const message = exit?.message ?? `the shim of ${folder.id} ended before its bridge was there`;
  return new Fault("server-failed", message, { data: { stderr: said, ...(exit ? { code: exit.code } : {}) } });
}
