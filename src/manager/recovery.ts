/**
 * Containers remember, the manager does not: at its start it lists what carries its instance id, takes it over, and
 * from then on follows what the engine says.
 */
import * as v from "valibot";
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import { type ServerSpec, serverSpec } from "../model/server-spec.ts";
import { LABEL, MANAGED_BY } from "../runtime/labels.ts";
import type { Instance, Labels } from "../runtime/runtime.ts";
import type { Ground } from "./launch.ts";
import type { Registry } from "./registry.ts";
import { renewChanged } from "./renewal.ts";
import type { Server } from "./server.ts";
import { unseal } from "./tokens.ts";

const ATTEMPT_MS = 30_000;
/** Between attempts to reach an engine that did not answer at the start. */
const RETRY_MS = 2_000;
const WATCH_RETRY_MS = 1_000;
const LOOK_EVERY_MS = 2_000;
const LOOK_MS = 1_500;

function ownLabels(instance: string): Labels {
  return { [LABEL.managedBy]: MANAGED_BY, [LABEL.instance]: instance };
}

export class Recovery {
  /** Why the manager does not know yet what runs; undefined once it does. */
  reason: string | undefined = "looking for servers that run already";
  /** Why the engine cannot be followed at the moment; undefined when it can. */
  outage: string | undefined;
  /** Resolves after the first look, also when the engine did not answer. */
  readonly first: Promise<void>;

  /** Begins at once and follows the engine until the signal aborts. */
  constructor(
    private readonly ground: Ground,
    private readonly registry: Registry,
    private readonly log: Log,
    private readonly signal: AbortSignal,
  ) {
    const found = this.attempt();
    this.first = found.then(() => {});
    void found.then((done) => this.go(done));
    void this.lookAtSilent();
  }

  /** Resolves when it is known what runs. Fault `unreachable` when the engine does not answer. */
  async done(deadline: Deadline): Promise<void> {
    await deadline.race("finding the servers that run already", this.first);
    if (this.reason !== undefined) throw new Fault("unreachable", this.reason);
  }

  /** A bridge that is silent may have ended with its container while the event stream had nothing to say: the engine is asked. */
  private async lookAtSilent(): Promise<void> {
    while (!this.signal.aborted) {
      const silent = this.registry.all().filter(({ state, busy }) => state === "unhealthy" && !busy);
      await Promise.all(silent.map((server) => this.look(server)));
      await sleep(LOOK_EVERY_MS, this.signal).catch(() => {});
    }
  }

  private async look(server: Server): Promise<void> {
    const { present } = server;
    if (!present) return;
    try {
      const { instance } = await this.ground.runtime.inspect(present.id, Deadline.in(LOOK_MS, this.signal));
      server.observe(instance);
    } catch (error) {
      // An engine that does not answer knows nothing of it either.
      if (Fault.from(error).kind === "not-found") server.observe({ ...present, state: "lost", addresses: [] });
    }
  }

  private async go(done: boolean): Promise<void> {
    for (let found = done; !found && !this.signal.aborted; found = await this.attempt()) {
      await sleep(RETRY_MS, this.signal).catch(() => {});
    }
    void renewChanged(this.ground, this.registry, this.log, this.signal);
    while (!this.signal.aborted) {
      await this.follow();
      await sleep(WATCH_RETRY_MS, this.signal).catch(() => {});
    }
  }

  private async attempt(): Promise<boolean> {
    try {
      const deadline = Deadline.in(ATTEMPT_MS, this.signal);
      await this.ground.facts(deadline);
      await this.takeOver(deadline);
      this.reason = undefined;
      return true;
    } catch (error) {
      const { message } = Fault.from(error);
      if (this.reason !== message && !this.signal.aborted)
        this.log.warn("the engine does not answer", { reason: message });
      this.reason = message;
      return false;
    }
  }

  private async takeOver(deadline: Deadline): Promise<void> {
    const found = await this.ground.runtime.list(ownLabels(this.ground.instance), deadline);
    const byServer = Map.groupBy(found, (instance) => instance.labels[LABEL.server] ?? "");
    byServer.delete("");
    await Promise.all([...byServer].map(([name, instances]) => this.adopt(name, instances)));
  }

  private async adopt(name: string, found: Instance[]): Promise<void> {
    const { log } = this;
    const instances: Instance[] = [];
    for (const instance of found) {
      const { spec, secrets } = sealedSpec(this.ground.key, instance);
      if (spec?.session !== "container") instances.push(instance);
      else if (!instance.labels[LABEL.session]) log.warn("a container without a session was found", { server: name });
      else {
        this.registry.discovered(name, spec, secrets);
        await this.registry.placements.adopt(spec, secrets, instance);
      }
    }
    const [best, ...others] = instances.toSorted(byPreference);
    if (!best) return;
    for (const { id } of others) log.warn("a second instance of a server was found", { server: name, id });
    const { spec, secrets } = sealedSpec(this.ground.key, best);
    const server = this.registry.discovered(name, spec, secrets);
    if (!server.spec) log.warn("an instance was found whose description cannot be read", { server: name });
    await server.adopt(best);
    log.info("took over a server", { server: name, container: best.name, state: server.state });
  }

  /** Until the stream of the engine breaks; the next one begins with what is there. */
  private async follow(): Promise<void> {
    const outage = (reason: string | undefined) => this.tellOutage(reason);
    try {
      for await (const instance of this.ground.runtime.watch(ownLabels(this.ground.instance), this.signal, outage)) {
        this.registry.of(instance.labels)?.observe(instance);
      }
    } catch (error) {
      if (!this.signal.aborted) this.log.warn("the engine's events broke off", { reason: Fault.from(error).message });
    }
  }

  private tellOutage(reason: string | undefined): void {
    const before = this.outage;
    this.outage = reason;
    if (reason !== undefined && before === undefined) this.log.warn("the engine does not answer", { reason });
    if (reason === undefined && before !== undefined) this.log.info("the engine answers again");
  }
}

const sealed = v.object({ spec: v.looseObject({}), secrets: v.array(v.string()) });

/** The spec out of the label, and the names of its secrets; without our key there is none. */
export function sealedSpec(key: Uint8Array, instance: Instance): { spec: ServerSpec | undefined; secrets: string[] } {
  const text = unseal(key, instance.labels[LABEL.sealed] ?? "") ?? "";
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), sealed), text);
  if (!parsed.success) return { spec: undefined, secrets: [] };
  const spec = v.safeParse(serverSpec, { ...parsed.output.spec, secrets: {} });
  return { spec: spec.success ? spec.output : undefined, secrets: parsed.output.secrets };
}

/** What runs before what does not, the newer before the older. */
function byPreference(a: Instance, b: Instance): number {
  const runs = (instance: Instance) => (instance.state === "running" ? 1 : 0);
  return runs(b) - runs(a) || b.since - a.since;
}
