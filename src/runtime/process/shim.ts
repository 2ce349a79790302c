/**
 * `linkspan process-shim FOLDER INCARNATION`: the parent of one bridge, in the place where a container has its engine.
 * It writes the log, checks the health, keeps how the bridge ended, and leaves no process behind. Being no child of
 * the manager, it outlives it; a manager that comes later finds everything in the folder (process-record.ts).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Deadline } from "../../base/deadline.ts";
import { watchHealth } from "./health.ts";
import { endWithin, identify, killFamily, type ProcessIdentity, signalProcess } from "./identity.ts";
import { LogLines, LogWriter, lastLines } from "./log.ts";
import { bridgeCommand, bridgeEnvironment } from "./plan.ts";
import { type ProcessExit, ProcessFolder, type ProcessRecord } from "./record.ts";

/** After the bridge has ended, its output may be held open by what it started; that is waited for no longer. */
const OUTPUT_MS = 500;

const FOLDER_CHECK_MS = 5_000;
/** For a stop that no stop file speaks of: somebody else's SIGTERM. */
const GRACE_MS = 10_000;

interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  error?: Error;
}

export async function processShimMain([path = "", incarnation = ""]: string[]): Promise<number> {
  const folder = new ProcessFolder(dirname(path), basename(path));
  const record = folder.read("record");
  const shim = identify(process.pid);
  // Whoever started it has given up already.
  if (!record || !shim || existsSync(folder.file("stop"))) return 1;
  const log = new LogWriter(folder.file("log"));
  const [program = "", ...args] = bridgeCommand(record, folder);
  const env = bridgeEnvironment(record, folder);
  const cwd = record.plan.cwd ?? folder.file("work");
  // A session of its own: a signal to the shim's group is not one to the bridge.
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const ended = endOf(child);
  const output = keepOutput(child, log);
  const bridge = child.pid === undefined ? undefined : identify(child.pid);
  const health = new AbortController();
  if (bridge) {
    folder.write("run", { incarnation, shim, bridge, startedAt: Date.now() });
    process.on("SIGTERM", () => void stopBridge(folder, bridge));
    watchHealth(folder, record, incarnation, health.signal);
    // Without its folder nobody can find the server again: it would run for ever.
    setInterval(() => existsSync(folder.path) || void stopBridge(folder, bridge), FOLDER_CHECK_MS).unref();
  }
  const ending = await ended;
  health.abort();
  await killFamily(record.id, bridge);
  await Deadline.in(OUTPUT_MS)
    .race("the end of the output", output)
    .catch(() => {});
  folder.write("exit", describe(ending, incarnation, folder, record));
  // What still holds the output open has left the family on purpose; nobody reads it any more.
  process.exit(0);
}

/**
 * Asks the bridge to end, and ends it after the grace that the stop file names. Also the manager's way to stop a
 * bridge that has lost its shim.
 */
export async function stopBridge(folder: ProcessFolder, bridge: ProcessIdentity): Promise<void> {
  const graceMs = graceOf(folder);
  if (graceMs > 0) {
    signalProcess(bridge, "SIGTERM");
    if (await endWithin([bridge], graceMs)) return;
  }
  await killFamily(folder.id, bridge);
}

function graceOf(folder: ProcessFolder): number {
  try {
    return Number(readFileSync(folder.file("stop"), "utf8")) || 0;
  } catch {
    return GRACE_MS;
  }
}

function endOf(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, error }));
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
}

async function keepOutput(child: ChildProcess, log: LogWriter): Promise<void> {
  const streams = [child.stdout, child.stderr].map(async (stream) => {
    const lines = new LogLines();
    if (!stream) return;
    for await (const chunk of stream) if (chunk instanceof Uint8Array) log.write(lines.push(chunk));
    log.write(lines.end());
  });
  await Promise.allSettled(streams);
}

function describe(
  { code, signal, error }: Ending,
  incarnation: string,
  folder: ProcessFolder,
  record: ProcessRecord,
): ProcessExit {
  const at = Date.now();
  if (error) {
    return { incarnation, code: 127, reason: "crash", message: `the bridge did not start: ${error.message}`, at };
  }
  // As shells and engines say it: a process that a signal ended has 128 and the signal's number.
  const status = code ?? 128 + (SIGNAL_NUMBERS[signal ?? ""] ?? 0);
  if (status === 0) return { incarnation, code: 0, reason: "finished", message: "the bridge has finished", at };
  const asked = existsSync(folder.file("stop"));
  const how = signal ? `was ended by ${signal}` : `exited with ${status}`;
  if (asked || signal) return { incarnation, code: status, reason: "killed", message: `the bridge ${how}`, at };
  const last = lastLines(folder.file("log"), 1)[0]?.text;
  const message = `the bridge of ${record.id} ${how}${last === undefined ? "" : `: ${last}`}`;
  return { incarnation, code: status, reason: "crash", message, at };
}

const SIGNAL_NUMBERS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGTERM: 15,
};
