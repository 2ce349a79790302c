/**
 * Servers whose policy gives each session a container of its own. Every such container is a server in the sense of
 * server.ts, kept here under the server's name and the session; it comes with its session and goes with it. The server
 * itself then has no container: what is shown of it is the sum of these.
 */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { ServerState, ServerView } from "../model/views.ts";
import { LABEL } from "../runtime/labels.ts";
import type { Instance, Report } from "../runtime/runtime.ts";
import type { Cause } from "./launch.ts";
import { Server } from "./server.ts";
import type { Surroundings } from "./surroundings.ts";

const REMOVE_MS = 60_000;
const SETTLE_MS = 5_000;
/** The first of these that a container is in is the server's state. */
const ORDER: ServerState[] = ["ready", "starting", "creating", "unhealthy", "stopping", "failed"];
/** They follow their session and nothing else. */
const NO_PINS: Surroundings["pins"] = { get: () => false, set: () => {} };

export class Placements {
  /** By server, then by session. */
  private readonly placed = new Map<string, Map<string, Server>>();
  /** What is to be said of a server without a container: why the last one failed, or that somebody stopped it. */
  private readonly last = new Map<string, { state: ServerState; reason?: string }>();

  private readonly removals = new Set<Promise<void>>();

  constructor(private readonly around: Surroundings) {}

  all(): Server[] {
    return [...this.placed.values()].flatMap((bySession) => [...bySession.values()]);
  }

  of(server: string): Server[] {
    return [...(this.placed.get(server)?.values() ?? [])];
  }

  find(server: string, session: string | undefined): Server | undefined {
    return session === undefined ? undefined : this.placed.get(server)?.get(session);
  }

  /** Resolves when the session's own container answers. Faults: those of a start; then nothing is left of it. */
  async open(spec: ServerSpec, session: string, cause: Cause, report: Report, deadline: Deadline): Promise<Server> {
    const server = this.put(spec, session, "ref");
    try {
      await server.start(spec, cause, report, deadline);
    } catch (error) {
      const { message, kind } = Fault.from(error);
      if (kind !== "cancelled") this.last.set(spec.name, { state: "failed", reason: message });
      this.close(spec.name, session);
      throw error;
    }
    this.last.delete(spec.name);
    return server;
  }

  /** Takes over a container that was found by its labels. */
  async adopt(spec: ServerSpec, lostSecrets: readonly string[], instance: Instance): Promise<Server> {
    const session = instance.labels[LABEL.session] ?? instance.id;
    const server = this.find(spec.name, session) ?? this.put(spec, session, "label", lostSecrets);
    await server.adopt(instance);
    return server;
  }

  /** The session is over: its container goes. Never throws; what could not be removed is tried again by `sweep`. */
  close(name: string, session: string): void {
    const server = this.find(name, session);
    if (!server) return;
    const removal = this.removeOne(name, session, server).finally(() => this.removals.delete(removal));
    this.removals.add(removal);
  }

  /** Waits for the removal of what is over, before the manager ends; the next one finds what is left. Never throws. */
  async settled(deadline: Deadline): Promise<void> {
    const removals = Promise.all(this.removals);
    await deadline
      .within(SETTLE_MS)
      .race("removing what is over", removals)
      .catch(() => {});
  }

  /** Removes the containers of sessions that nobody has any more. One that runs has the last word: its bridge. */
  sweep(isKnown: (session: string) => boolean): void {
    for (const [name, bySession] of this.placed) {
      for (const [session, server] of bySession) {
        if (!server.busy && !isKnown(session)) void this.retire(name, session, server);
      }
    }
  }

  /** Removes all of a server's. `stopped`: somebody wants it so, and fronts are to leave it alone. */
  async end(name: string, stopped: boolean, deadline: Deadline): Promise<void> {
    if (stopped) this.last.set(name, { state: "stopped" });
    else this.last.delete(name);
    const end = async ([session, server]: [string, Server]) => {
      await server.remove(deadline);
      this.drop(name, session, server);
    };
    await Promise.all([...(this.placed.get(name) ?? [])].map(end));
  }

  /** Somebody has started it by name: that it failed or was stopped is over. */
  started(name: string): void {
    this.last.delete(name);
  }

  /** What is seen of a server: the sum of its containers. `wanted`: somebody has started it by name. */
  describe(view: ServerView, wanted: boolean): ServerView {
    const views = this.of(view.name).map((server) => server.view());
    const state = ORDER.find((one) => views.some((placed) => placed.state === one));
    const reason = views.find((placed) => placed.state === state)?.reason;
    const waiting = views.find((placed) => placed.state === "defined")?.reason;
    const resting = this.last.get(view.name) ?? {
      state: wanted ? "ready" : view.state,
      ...(waiting === undefined ? {} : { reason: waiting }),
    };
    const since = Math.min(...views.flatMap((placed) => placed.since ?? []));
    return {
      ...view,
      ...(state === undefined ? resting : { state, ...(reason === undefined ? {} : { reason }) }),
      sessions: Math.max(view.sessions, views.filter((placed) => placed.addresses.length > 0).length),
      containers: views.filter((placed) => placed.container !== undefined).length,
      ...(Number.isFinite(since) ? { since } : {}),
    };
  }

  private put(spec: ServerSpec, session: string, origin: "ref" | "label", lostSecrets: readonly string[] = []): Server {
    const { events } = this.around;
    const around: Surroundings = {
      ...this.around,
      pins: NO_PINS,
      sessions: () => 1,
      events: {
        add: (kind, message, details) => {
          const container = server.present?.name;
          events.add(kind, message, { ...(container === undefined ? {} : { container }), ...details });
        },
      },
    };
    const server: Server = new Server(spec.name, spec, origin, lostSecrets, around, session);
    const bySession = this.placed.get(spec.name) ?? new Map<string, Server>();
    this.placed.set(spec.name, bySession.set(session, server));
    return server;
  }

  private async removeOne(name: string, session: string, server: Server): Promise<void> {
    try {
      await server.remove(Deadline.in(REMOVE_MS));
      this.drop(name, session, server);
    } catch (error) {
      this.around.log.warn("the container of a session could not be removed", {
        server: name,
        session,
        reason: Fault.from(error).message,
      });
    }
  }

  private async retire(name: string, session: string, server: Server): Promise<void> {
    try {
      if (await server.retire(Deadline.in(REMOVE_MS))) this.drop(name, session, server);
    } catch {
      // It does not answer, or the engine does not: the next sweep asks again.
    }
  }

  private drop(name: string, session: string, server: Server): void {
    const bySession = this.placed.get(name);
    if (bySession?.get(session) === server) bySession.delete(session);
    if (bySession?.size === 0) this.placed.delete(name);
  }
}
