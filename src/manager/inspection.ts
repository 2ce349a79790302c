/** One server seen from near: what was asked for, what the engine made of it, how it is doing. */
import type { HealthReport } from "../../bridge/wire.ts";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { ServerView } from "../model/views.ts";
import type { Gap, Stats } from "../runtime/runtime.ts";
import type { Ground } from "./launch.ts";
import type { Server } from "./server.ts";
import { maskSealed, maskSecrets } from "./view.ts";

export interface Inspected {
  view: ServerView;
  /** Every default filled in; values of secrets are masked. */
  spec: ServerSpec;
  gaps: Gap[];
  /** The engine's own description; undefined when nothing exists on the engine. */
  raw: unknown;
  /** What the bridge says of itself; undefined when none answers. */
  health: HealthReport | undefined;
}

/** A bridge that does not answer must not hold up what the engine says. */
const HEALTH_MS = 1_000;

export async function inspectServer(
  { runtime, facts }: Ground,
  server: Server,
  spec: ServerSpec,
  deadline: Deadline,
): Promise<Inspected> {
  const [known, described, health] = await Promise.all([
    facts(deadline).catch(() => undefined),
    server.present && runtime.inspect(server.present.id, deadline).catch(() => undefined),
    server.health(deadline.within(HEALTH_MS)),
  ]);
  const gaps = known ? runtime.check(spec, known) : [];
  return { view: server.view(), spec: maskSecrets(spec), gaps, raw: maskSealed(described?.raw), health };
}

/** Faults: `unsupported` where the runtime cannot say, `conflict` when the server does not run. */
export async function measureServer({ runtime }: Ground, server: Server, deadline: Deadline): Promise<Stats> {
  if (!runtime.stats) throw new Fault("unsupported", `the ${runtime.kind} runtime knows no figures here`);
  const { present } = server;
  if (present?.state !== "running") throw new Fault("conflict", `${server.name} does not run`);
  return await runtime.stats(present.id, deadline);
}
