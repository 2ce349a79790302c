/** The end of a container: SIGTERM, a grace, SIGKILL. Not the engine's own stop call, which counts in whole seconds. */
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { inspectContainer, signalContainer, unpauseContainer, waitForEnd } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";

/** Idempotent: a container that does not run or does not exist has ended. */
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
