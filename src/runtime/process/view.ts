/** Process servers as the runtime's interface shows them. */
import { hostname } from "node:os";
import { isAlive, isFrozen } from "./identity.ts";
import type { ProcessExit, ProcessFolder, ProcessRecord, ProcessRun } from "./record.ts";
import type { Instance } from "../runtime.ts";

export function isRunning(run: ProcessRun | undefined): run is ProcessRun {
  return run !== undefined && isAlive(run.bridge);
}

/** One look at the folder. The process decides whether it runs; files only say what has been. */
export function describeInstance(folder: ProcessFolder, record: ProcessRecord): Instance {
  const { id, specHash, labels } = record;
  const run = folder.read("run");
  const common = { id, name: id, specHash, labels, node: hostname() };
  const last = folder.read("exit");
  if (!run) return { ...common, ...neverRan(last), addresses: [], since: record.createdAt };
  const started = { ...common, incarnation: run.incarnation, since: run.startedAt };
  if (isAlive(run.bridge)) {
    const address = folder.address();
    if (isFrozen(run.bridge))
      return { ...started, state: "paused", addresses: address ? [{ kind: "tcp", ...address }] : [] };
    if (!address) return { ...started, state: "starting", addresses: [] };
    const health = folder.read("health");
    const status = health?.incarnation === run.incarnation ? health.status : "starting";
    return { ...started, state: "running", addresses: [{ kind: "tcp", ...address }], health: status };
  }
  const known = last?.incarnation === run.incarnation ? last : undefined;
  const { code, reason, message } = known ?? {
    code: 137,
    // Shim and bridge are both gone: a reboot, or somebody has killed them.
    reason: "killed" as const,
    message: "the bridge is gone, and nobody was there to see how it ended",
  };
  return { ...started, state: "ended", addresses: [], exit: { code, reason, message } };
}

/** Nothing was started yet, or the bridge could not be. */
function neverRan(exit: ProcessExit | undefined): Pick<Instance, "incarnation" | "state" | "exit"> {
  if (!exit) return { incarnation: "", state: "pending" };
  const { incarnation, code, reason, message } = exit;
  return { incarnation, state: "ended", exit: { code, reason, message } };
}

/** The record for people to see: names of variables, never their values. */
export function maskRecord(record: ProcessRecord): ProcessRecord {
  const env = Object.fromEntries(Object.keys(record.plan.env).map((name) => [name, "***"]));
  return { ...record, plan: { ...record.plan, env } };
}
