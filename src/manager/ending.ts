/** How a manager leaves the engine: without the servers that are to go, and without networks that nobody uses. */
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import type { Ground } from "./launch.ts";
import type { Recovery } from "./recovery.ts";
import type { Registry } from "./registry.ts";
import type { Server } from "./server.ts";

/** An engine that hangs must not use up the time of everything else that has to be closed. */
const TIDY_MS = 5_000;

interface House {
  ground: Ground;
  registry: Registry;
  recovery: Pick<Recovery, "first" | "reason">;
  log: Log;
}

/** Ends starts that are under way; with `removing` nothing of the manager is left on the engine. Never throws. */
export async function leaveEngine(house: House, removing: boolean, deadline: Deadline): Promise<void> {
  const { ground, registry, recovery, log } = house;
  for (const server of registry.parts()) server.abortStart();
  await registry.placements.settled(deadline);
  if (removing) {
    // What an earlier manager has left is ours to remove, too.
    await deadline.race("finding what runs", recovery.first).catch(() => {});
    await removeServers(registry.parts(), log, deadline);
  }
  const left = registry.parts().some((server) => server.present || server.busy);
  if (!left && recovery.reason === undefined) await removeNetworks(ground, log, deadline);
}

/** Never throws: what could not be removed is in the log. */
export async function removeServers(servers: Server[], log: Log, deadline: Deadline): Promise<void> {
  const ended = await Promise.allSettled(servers.map((server) => server.remove(deadline)));
  for (const one of ended) {
    if (one.status === "fulfilled") continue;
    log.warn("a server could not be removed", { reason: Fault.from(one.reason).message });
  }
}

/** Removes the manager's networks. For when no container of its is left: even a stopped one needs its network to start again. */
async function removeNetworks({ runtime, instance }: Ground, log: Log, deadline: Deadline): Promise<void> {
  await runtime.clean(instance, deadline.within(TIDY_MS)).catch((error: unknown) => {
    log.warn("not everything could be cleaned up", { reason: Fault.from(error).message });
  });
}
