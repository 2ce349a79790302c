/**
 * Servers that run otherwise than the configuration file says by now: once it is known what runs, each is replaced. What
 * the new one needs is made ready first, then requests under way may end, then the old one is stopped and the new one
 * started; fronts bring their sessions to it by themselves. Servers that the file has not changed are left alone.
 */
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import { type Ground, prepareLaunch } from "./launch.ts";
import type { Registry } from "./registry.ts";
import type { Server } from "./server.ts";

/** An image may have to be fetched first. */
const PREPARE_MS = 600_000;
const START_MS = 120_000;
/** Requests under way have this long to be answered; later ones are cut, and answered with an error. */
const DRAIN_MS = 10_000;
const POLL_MS = 20;
const HEALTH_MS = 1_000;

/** Resolves when every changed server was dealt with. Never throws: one that cannot be replaced runs on as it is. */
export async function renewChanged(ground: Ground, registry: Registry, log: Log, signal: AbortSignal): Promise<void> {
  await Promise.all(registry.all().map((server) => renew(server, ground, log, signal)));
}

async function renew(server: Server, ground: Ground, log: Log, signal: AbortSignal): Promise<void> {
  const spec = outdated(server);
  if (!spec) return;
  const { name } = server;
  log.info("a server is replaced: the configuration file has changed", { server: name });
  try {
    await prepareLaunch(ground, spec, () => {}, Deadline.in(PREPARE_MS, signal));
    await quiet(server, Deadline.in(DRAIN_MS, signal));
    // Somebody may have stopped it meanwhile, or started it anew.
    if (outdated(server))
      await server.start(spec, { client: "linkspan.yaml" }, () => {}, Deadline.in(START_MS, signal));
  } catch (error) {
    if (signal.aborted) return;
    log.warn("a changed server could not be replaced", { server: name, reason: Fault.from(error).message });
  }
}

/** The spec that it should run with and does not. What does not answer is left to the next start. */
function outdated(server: Server): ServerSpec | undefined {
  const { spec, origin, state } = server;
  return origin === "config" && spec && state === "ready" && !server.isCurrent(spec) ? spec : undefined;
}

/** Until nothing is under way, or the time for it has passed. */
async function quiet(server: Server, deadline: Deadline): Promise<void> {
  while (!deadline.passed) {
    const health = await server.health(deadline.within(HEALTH_MS));
    if (!health || health.inFlight === 0) return;
    await sleep(POLL_MS, deadline.signal).catch(() => {});
  }
}
