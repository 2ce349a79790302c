/** What clients of the gateway get: every server as one, or one of them; made from the manager and the configuration. */
import { join } from "node:path";
import { Deadline } from "./base/deadline.ts";
import { Fault } from "./base/fault.ts";
import type { Log } from "./base/log.ts";
import { similar } from "./base/similar.ts";
import { Aggregate, type Hall } from "./gateway/aggregate/aggregate.ts";
import { Approvals } from "./gateway/aggregate/approvals.ts";
import { Catalogue } from "./gateway/aggregate/catalogue.ts";
import { toolsetId, type View } from "./gateway/aggregate/filter.ts";
import type { Member, Roster } from "./gateway/aggregate/member.ts";
import { approved } from "./gateway/approved.ts";
import type { Gateways, Selection, Upstream } from "./gateway/exchange.ts";
import { type Doors, openSession } from "./gateway/open-session.ts";
import { Verdicts } from "./gateway/servers/verdicts.ts";
import { sessionLines } from "./gateway/servers/lines.ts";
import { serverUpstream } from "./gateway/servers/upstream.ts";
import { type Hosted, type HostOptions, hostedToolsets } from "./hosted.ts";
import type { Manager } from "./manager/manager.ts";
import type { Definition } from "./manager/registry.ts";
import type { GatewaySection } from "./model/gateway-section.ts";
import { VERSION } from "./base/version.ts";

export interface GatewaysOptions extends HostOptions {
  manager: Manager;
  /** Where sessions come from: the manager, behind whatever guards it. */
  host: Pick<Manager, "acquire" | "release">;
  section: GatewaySection;
}

export interface OpenGateways extends Gateways, AsyncDisposable {
  approvals: Approvals;
}

export function openGateways({ manager, host, section, log, env, door }: GatewaysOptions): OpenGateways {
  const over = new AbortController();
  // What they keep is in this manager's own folder, wherever its name came from.
  const hosted = hostedToolsets({ env: { ...env, LINKSPAN_DATA_DIR: manager.dataDir.path }, log, door });
  const servers = new Servers(manager, host, over.signal);
  const home = manager.dataDir.path;
  const report = (server: string, message: string) => manager.events.add("tools.changed", message, { server });
  const approvals = new Approvals(join(home, "approvals"), section.approval, log, report);
  const roster = new ManagerRoster(
    manager,
    servers,
    toolsetMembers(section, hosted),
    (server) => approvals.forget(server),
    over.signal,
    log,
  );
  const catalogue = new Catalogue(join(home, "catalogue"), log);
  const hall: Hall = { roster, catalogue, approvals, log, patienceMs: section.patience };
  return {
    approvals,
    all: ({ group, allow }: Selection) => new Aggregate(hall, viewOf(section, group), allow),
    one(server) {
      // Unknown ones are refused now; each client gets the server as it is defined when it comes.
      const named = () => servers.named(manager.server(server).name);
      named();
      const spec = () => manager.definitions().find(({ name }) => name === server)?.hash;
      return approved({ attach: (client) => named().attach(client) }, approvals, server, spec);
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await hosted[Symbol.asyncDispose]();
    },
  };
}

/** Faults: `not-found`. */
function viewOf({ groups, toolsets, tools, findTools }: GatewaySection, group: string | undefined): View {
  if (group === undefined) return { toolsets, tools, findTools, plainNames: false };
  const found = Object.hasOwn(groups, group) ? groups[group] : undefined;
  if (found) return found;
  const near = similar(group, Object.keys(groups));
  const hint = near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "Groups are in linkspan.yaml, below gateway.";
  throw new Fault("not-found", `there is no group called ${JSON.stringify(group)}`, { hint });
}

/** One for each choice of toolsets. Their tools have names that say enough, and no prefix. */
function toolsetMembers({ toolsets, groups }: GatewaySection, hosted: Hosted): Member[] {
  const choices = [toolsets, ...Object.values(groups).map((group) => group.toolsets)].filter((one) => one.length > 0);
  const byId = new Map(choices.map((names) => [toolsetId(names), names]));
  return [...byId].map(([id, names]): Member => {
    return { id, name: "linkspan", prefix: undefined, spec: VERSION, own: true, upstream: hosted.upstream(id, names) };
  });
}

/** Each server as an upstream, the same one for all of its clients until it is defined anew. */
class Servers {
  private readonly known = new Map<string, { key: string; upstream: Upstream }>();
  private readonly verdicts: Verdicts;
  private readonly doors: Doors;

  constructor(
    private readonly manager: Manager,
    host: GatewaysOptions["host"],
    private readonly signal: AbortSignal,
  ) {
    this.verdicts = new Verdicts(join(manager.dataDir.path, "eras.json"));
    this.doors = {
      acquire: (server, report, deadline) =>
        host.acquire({ server, pid: process.pid, ppid: process.ppid }, "gateway", report, deadline),
      release: (session) => host.release(session),
      view: (server, session) => manager.server(server, session),
    };
  }

  /** Also of one that nobody has declared, which a session has made. */
  named(name: string): Upstream {
    return this.upstream(
      name,
      this.manager.definitions().find((one) => one.name === name),
    );
  }

  upstream(name: string, { hash, spec }: Partial<Definition> = {}): Upstream {
    const known = this.known.get(name);
    const era = spec?.era ?? "auto";
    const sessionIdleMs = spec?.sessionIdle === "none" ? undefined : spec?.sessionIdle;
    const key = `${hash} ${era} ${sessionIdleMs}`;
    if (known?.key === key) return known.upstream;
    const open = async (deadline: Deadline) => {
      const { session, release } = await openSession(this.doors, name, () => {}, deadline);
      return sessionLines(session, release);
    };
    const identity = () => hash ?? name;
    const shared = spec?.session === "shared";
    const upstream = serverUpstream({
      open,
      identity,
      verdicts: this.verdicts,
      era,
      shared,
      sessionIdleMs,
      signal: this.signal,
    });
    if (hash !== undefined) this.known.set(name, { key, upstream });
    return upstream;
  }

  forget(name: string): void {
    this.known.delete(name);
  }
}

/** Who is declared, as the manager knows it; what changes there shows in its events. */
class ManagerRoster implements Roster {
  private readonly listeners = new Set<() => void>();
  private readonly ready = new Set<(id: string) => void>();
  private before: string;

  constructor(
    private readonly manager: Manager,
    private readonly servers: Servers,
    private readonly toolsets: readonly Member[],
    private readonly forget: (server: string) => void,
    signal: AbortSignal,
    log: Log,
  ) {
    this.before = this.state();
    this.follow(signal).catch((error: unknown) => log.error("servers are not followed", { reason: String(error) }));
  }

  list(): Member[] {
    const servers = this.manager.definitions().map((definition): Member => {
      const { name, hash } = definition;
      return {
        id: name,
        name,
        prefix: name,
        spec: hash,
        own: false,
        upstream: this.servers.upstream(name, definition),
      };
    });
    return [...servers, ...this.toolsets];
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  onReady(listener: (id: string) => void): () => void {
    this.ready.add(listener);
    return () => void this.ready.delete(listener);
  }

  private async follow(signal: AbortSignal): Promise<void> {
    for await (const { kind, server } of this.manager.events.subscribe(signal)) {
      if (kind === "server.ready" && server !== undefined) for (const listener of this.ready) listener(server);
      if (!kind.startsWith("server.") && kind !== "dropped") continue;
      const state = this.state();
      if (state === this.before) continue;
      this.before = state;
      if (kind === "server.removed" && server !== undefined && !this.list().some(({ name }) => name === server)) {
        this.forget(server);
        this.servers.forget(server);
      }
      for (const listener of this.listeners) listener();
    }
  }

  private state(): string {
    return JSON.stringify(this.manager.definitions().map(({ name, hash }) => [name, hash]));
  }
}
