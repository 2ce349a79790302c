/**
 * The manager: what runs, for whom, and in which state. REST, the TCP port and an embedded front all speak to this
 * class and to nothing behind it.
 */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import type { Readiness } from "../model/rest.ts";
import type { ServerBody, ServerSpec } from "../model/server-spec.ts";
import type { SessionRequest } from "../model/session-request.ts";
import type { BudgetView, ServerView, SessionGrant, SessionView } from "../model/views.ts";
import type { LogLine, LogOptions, Report, Runtime, RuntimeKind, Stats } from "../runtime/runtime.ts";
import type { AccessTokens } from "./access-tokens.ts";
import { Cleanup, type CleanupOptions, ON_REQUEST } from "./cleanup.ts";
import type { DataDir } from "./data-dir.ts";
import { leaveEngine, removeServers } from "./ending.ts";
import { EngineFacts } from "./engine-facts.ts";
import { openEvents } from "./chronicle.ts";
import type { EventLog, Events } from "./events.ts";
import { type Inspected, inspectServer, logsOf, measureServer } from "./inspection.ts";
import { type Ground, refuseGaps } from "./launch.ts";
import { OnDemand } from "./on-demand.ts";
import { Manifests } from "./manifests.ts";
import { Reception } from "./reception.ts";
import { Recovery } from "./recovery.ts";
import { known, Registry } from "./registry.ts";
import type { Server } from "./server.ts";
import { Room, type RoomOptions } from "./room.ts";
import { type SessionKind, Sessions } from "./sessions.ts";
import { State } from "./state.ts";
import type { Surroundings } from "./surroundings.ts";
import { Volumes } from "./volumes.ts";

export type { Events } from "./events.ts";
export type { Inspected } from "./inspection.ts";
export type { SessionKind } from "./sessions.ts";

export interface ManagerOptions {
  runtime: Runtime;
  /** The manager's from here on: closed with it. */
  dataDir: DataDir;
  /** The servers of the configuration file. */
  servers: readonly ServerSpec[];
  log: Log;
  /** Run servers although the engine cannot keep every setting. */
  allowWeaker: boolean;
  /** Remove every server at the end; otherwise they run on and the next manager takes them over. */
  stopServersOnExit: boolean;
  /** When the reaper looks by itself, and what is aged for it; without it nothing is removed unless somebody asks. */
  cleanup?: CleanupOptions;
  /** What all servers together may have; no bound when absent. */
  budget?: RoomOptions;
  /** What else can be done when no engine answers. */
  noEngineHint?: string | undefined;
}

/** Fronts that were killed give nothing back: their sessions are freed within 5 s (faults.md). */
const SWEEP_MS = 2_000;
/** An end for those who name none. */
const CLOSE_MS = 30_000;
const NO_BUDGET: RoomOptions = { wait: 0 };
const BY_NAME = { client: "by name" };

export class Manager implements AsyncDisposable {
  readonly volumes: Volumes;
  readonly dataDir: DataDir;
  readonly runtime: RuntimeKind;
  readonly events: Events;
  private readonly log: EventLog;
  private readonly books = new Sessions();
  private readonly state: State;
  private readonly registry: Registry;
  private readonly reception: Reception;
  private readonly room: Room;
  /** Gives up a session that tool calls of our own keep open, unless a call is under way. */
  letGo: (server: string) => Promise<unknown> = async () => {};
  private readonly ground: Ground;
  private readonly facts: EngineFacts;
  private readonly ending = new AbortController();
  private readonly recovery: Recovery;
  /** Removes what nobody uses, by itself and when it is asked to. */
  readonly cleanup: Cleanup;
  readonly manifests: Manifests;
  readonly access: AccessTokens;
  private readonly sweeper: ReturnType<typeof setInterval>;
  private closed: Promise<void> | undefined;
  private touchedAt = performance.now();

  constructor(private readonly options: ManagerOptions) {
    const { runtime, dataDir, servers, log, allowWeaker } = options;
    this.dataDir = dataDir;
    this.runtime = runtime.kind;
    this.facts = new EngineFacts(runtime, options.noEngineHint);
    const facts = (deadline: Deadline) => this.facts.get(deadline);
    this.ground = { runtime, key: dataDir.key, instance: dataDir.instance, home: dataDir.path, allowWeaker, facts };
    this.state = State.open(dataDir.statePath, log);
    this.access = this.state.access;
    const containerOf = (server: string) => this.registry.find(server)?.present?.name;
    this.events = this.log = openEvents(dataDir.path, this.state, containerOf);
    this.room = new Room(options.budget ?? NO_BUDGET, {
      events: this.log,
      log,
      servers: () => this.registry.parts(),
      wanted: (name) => this.books.wanted(name),
      users: (name) => this.books.users(name),
      letGo: (name) => this.letGo(name),
    });
    const around: Surroundings = {
      ground: this.ground,
      events: this.log,
      log,
      room: this.room,
      pins: this.state.pins,
      sessions: (name) => this.books.count(name),
    };
    this.volumes = new Volumes(runtime, this.log, (deadline) => this.admitted(deadline));
    this.registry = new Registry(around, this.state);
    this.registry.load(servers);
    this.reception = new Reception(this.books, this.registry, this.log);
    this.recovery = new Recovery(this.ground, this.registry, log, this.ending.signal);
    const { ground, registry, books, recovery } = this;
    const house = { ground, registry, books, recovery, events: this.log };
    this.manifests = new Manifests(house);
    this.cleanup = new Cleanup(house, options.cleanup ?? ON_REQUEST, log, this.ending.signal);
    new OnDemand({ ...house, recovery, log }, this.ending.signal);
    this.sweeper = setInterval(() => this.reception.sweep(), SWEEP_MS);
    this.log.add("manager.started", `manager ${dataDir.instance} has started`);
  }

  /** What somebody has declared: not what sessions have made from references. */
  readonly definitions = () => this.registry.definitions();

  /** Every server that is known, by name. */
  servers(): ServerView[] {
    return this.registry.all().map((server) => this.registry.view(server));
  }

  /** As one of its sessions sees it, or as a whole. Faults: `not-found`, with a hint that names similar ones. */
  server(name: string, session?: string): ServerView {
    return this.registry.view(this.registry.get(name), session);
  }

  /**
   * Resolves when the server's bridge answers. Idempotent: starts of one server at the same time are one start.
   * `body` absent: the spec known under this name. Faults: `not-found`, `conflict` (runs with another spec and has
   * sessions), `unsupported` (the engine would weaken the spec), `server-failed` with the reason.
   */
  async start(name: string, body: ServerBody | undefined, report: Report, deadline: Deadline): Promise<ServerView> {
    await this.admitted(deadline);
    const { server, spec } = body ? await this.defined(name, body, deadline) : known(this.registry.get(name));
    if (server.state === "ready" && !server.isCurrent(spec) && (await this.reception.inUse(server))) {
      throw new Fault("conflict", `${name} runs with another definition and has open sessions`, {
        hint: `Stop it first: linkspan stop ${name}`,
      });
    }
    server.pinned = true;
    if (spec.session !== "container") await this.registry.placements.end(name, false, deadline);
    await server.start(spec, BY_NAME, report, deadline);
    // What sessions have made is the manager's own from now on.
    server.contact.renewLease();
    this.registry.placements.started(name);
    return this.registry.view(server);
  }

  /** Idempotent; also ends a start that is under way. The container stays, for its logs. */
  async stop(name: string, deadline: Deadline): Promise<ServerView> {
    await this.admitted(deadline);
    const server = this.registry.get(name);
    server.pinned = false;
    await Promise.all([server.stop(deadline), this.registry.placements.end(name, true, deadline)]);
    return this.registry.view(server);
  }

  async restart(name: string, report: Report, deadline: Deadline): Promise<ServerView> {
    await this.admitted(deadline);
    const { server, spec } = known(this.registry.get(name));
    server.pinned = true;
    await Promise.all([server.stop(deadline), this.registry.placements.end(name, false, deadline)]);
    await server.start(spec, BY_NAME, report, deadline);
    return this.registry.view(server);
  }

  /** Stops, removes the container and forgets a spec that did not come from the configuration file, unless it is to be kept. */
  async remove(name: string, deadline: Deadline, keep = false): Promise<void> {
    await this.admitted(deadline);
    const server = this.registry.get(name);
    const container = server.present?.name;
    await Promise.all([server.remove(deadline), this.registry.placements.end(name, false, deadline)]);
    if (keep) this.registry.keep(server);
    else this.registry.forget(server);
    this.log.add("server.removed", `${name} was removed`, { server: name, container });
  }

  async inspect(name: string, deadline: Deadline): Promise<Inspected> {
    this.touch();
    const { server, spec } = known(this.registry.get(name));
    const parts = this.registry.partsOf(server);
    return await inspectServer(this.ground, this.registry.view(server), parts, spec, deadline);
  }

  /** Of the instance that is there, running or not; nothing where there is none. */
  async *logs(name: string, options: LogOptions): AsyncIterable<LogLine> {
    this.touch();
    yield* logsOf(this.ground.runtime, this.registry.partsOf(this.registry.get(name)), options);
  }

  /** Faults: `unsupported` where the runtime cannot say, `conflict` when the server does not run. */
  async stats(name: string, deadline: Deadline): Promise<Stats> {
    this.touch();
    return await measureServer(this.ground, name, this.registry.partsOf(this.registry.get(name)), deadline);
  }

  /** Starts the server if needed and opens the books for a session; the caller dials the bridge itself. */
  async acquire(request: SessionRequest, kind: SessionKind, report: Report, deadline: Deadline): Promise<SessionGrant> {
    await this.admitted(deadline);
    return await this.reception.acquire(request, kind, report, deadline);
  }

  /** Idempotent. */
  release(session: string): void {
    this.touch();
    this.reception.release(session);
  }

  sessions(): SessionView[] {
    return this.books.list();
  }

  budget(): BudgetView {
    return this.room.view();
  }

  readiness(): Readiness {
    if (this.closed) return { ready: false, reason: "the manager is ending" };
    const reason = this.recovery.reason ?? this.recovery.outage;
    return reason === undefined ? { ready: true } : { ready: false, reason };
  }

  /**
   * Milliseconds since somebody last wanted something. 0 while a session is open, and while a server runs that was
   * asked for by name: it is there to stay. Servers that sessions started for themselves do not count.
   * `listening`: somebody is there all the same.
   */
  idleMs(listening = false): number {
    const wanted = this.registry.all().some((server) => server.busy || (server.pinned && server.alive));
    if (wanted || listening || this.books.count() > 0) this.touch();
    return performance.now() - this.touchedAt;
  }

  /** Removes the servers that run without a session and that nobody asked for by name. Never throws: see the log. */
  async removeUnwanted(deadline: Deadline): Promise<void> {
    const unwanted = ({ name, alive, pinned }: Server) => alive && !pinned && this.books.count(name) === 0;
    await removeServers(this.registry.all().filter(unwanted), this.options.log, deadline);
  }

  /** Refuses new work, ends starts that are under way, lets go of the engine. Idempotent. */
  close(deadline: Deadline): Promise<void> {
    this.closed ??= this.end(deadline);
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(Deadline.in(CLOSE_MS));
  }

  private async admitted(deadline: Deadline): Promise<void> {
    this.touch();
    if (!this.closed) await deadline.race("finding the servers that run already", this.recovery.first);
    if (this.closed) throw new Fault("unreachable", "the manager is ending");
  }

  private async defined(name: string, body: ServerBody, deadline: Deadline) {
    const spec = this.registry.check(name, body);
    // Before it is kept: what cannot run here is not worth remembering.
    refuseGaps(name, this.ground.runtime.check(spec, await this.facts.get(deadline)), this.ground.allowWeaker);
    return { server: this.registry.define(spec), spec };
  }

  private touch(): void {
    this.touchedAt = performance.now();
  }

  private async end(deadline: Deadline): Promise<void> {
    clearInterval(this.sweeper);
    const { ground, registry, recovery, options } = this;
    try {
      await leaveEngine({ ground, registry, recovery, log: options.log }, options.stopServersOnExit, deadline);
    } finally {
      this.ending.abort();
      for (const server of registry.parts()) server.detach();
      this.log.close();
      this.state.close();
      try {
        await this.ground.runtime[Symbol.asyncDispose]();
      } finally {
        this.dataDir.close();
      }
    }
  }
}
