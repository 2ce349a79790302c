/** How a container ends: asked, forced, or before it ever ran. */
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import {
  inspectContainer,
  removeContainer,
  signalContainer,
  unpauseContainer,
  waitForEnd,
} from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { discardContainer } from "./carrier.ts";

/** For finding out what became of a start. */
const AFTERMATH_MS = 10_000;
/** From SIGKILL to the end of a container; later it is removed by force. */
const KILLED_MS = 10_000;

/**
 * SIGTERM, a grace, SIGKILL; not the engine's own stop call, which counts in whole seconds.
 * Idempotent: a container that does not run or does not exist has ended. */
export async function endContainer(engine: Engine, id: string, graceMs: number, deadline: Deadline): Promise<void> {
  const info = await inspectContainer(engine, id, deadline);
  if (!info) return;
  // A frozen process takes no signal.
  if (info.State.Status === "paused") await unpauseContainer(engine, id, deadline).catch(() => {});
  if (!(await signalContainer(engine, id, "SIGTERM", deadline))) return;
  try {
    await waitForEnd(engine, id, deadline.within(graceMs));
    return;
  } catch (error) {
    if (!(error instanceof Fault) || error.kind !== "timeout" || deadline.passed) throw error;
  }
  await signalContainer(engine, id, "SIGKILL", deadline);
  await waitForEnd(engine, id, deadline);
}

/**
 * Kills what runs, and removes it once it has ended. Not in one call with force: of many such calls at once the engine
 * (20.10) leaves some containers attached to their network, which then cannot be removed until the engine is restarted.
 */
export async function removeEnded(engine: Engine, id: string, deadline: Deadline): Promise<void> {
  if (await signalContainer(engine, id, "SIGKILL", deadline)) {
    await waitForEnd(engine, id, deadline.within(KILLED_MS)).catch(() => {});
  }
  await removeContainer(engine, id, deadline);
}

/** Why a start failed. A container that has never run is removed, else it would stay `Created` for ever. */
export async function failedStart(engine: Engine, id: string, thrown: unknown): Promise<Fault> {
  const fault = Fault.from(thrown);
  if (fault.kind === "not-found" && !/OCI runtime|executable file/.test(fault.message)) return fault;
  const info = await inspectContainer(engine, id, Deadline.in(AFTERMATH_MS)).catch(() => undefined);
  if (info?.State.Status === "created") await discardContainer(engine, id);
  if (!["engine-failed", "invalid", "not-found"].includes(fault.kind)) return fault;
  return new Fault("server-failed", fault.message, { cause: fault, ...(fault.hint ? { hint: fault.hint } : {}) });
}
