/** From a client's wish to its session, and the end of sessions: starts servers that are needed and keeps the books. */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { SessionRequest } from "../model/session-request.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { SessionGrant, SessionView } from "../model/views.ts";
import type { Report } from "../runtime/runtime.ts";
import type { EventLog } from "./events.ts";
import { known, type Registry } from "./registry.ts";
import type { Server } from "./server.ts";
import type { SessionKind, Sessions } from "./sessions.ts";

/** Asking a bridge that may not answer, in the middle of something else. */
const HEALTH_MS = 1_000;

export class Reception {
  constructor(
    private readonly books: Sessions,
    private readonly registry: Registry,
    private readonly events: EventLog,
  ) {}

  /** Starts the server if needed and opens the books for a session; the caller dials the bridge itself. */
  async acquire(request: SessionRequest, kind: SessionKind, report: Report, deadline: Deadline): Promise<SessionGrant> {
    const { server, spec } = known(this.registry.resolve(request.server, request.definition));
    if (this.books.wanted(server.name) >= spec.maxSessions) throw tooMany(server.name, spec.maxSessions);
    using coming = this.books.expect(server.name, request);
    const cause = { client: clientOf(request, kind), session: coming.session };
    // One that runs with an older definition serves on while others use it.
    const kept = server.state === "ready" && !server.isCurrent(spec) && (await this.inUse(server));
    if (spec.session === "container" && !kept) {
      // One that all shared until the definition changed.
      if (server.present) await server.start(spec, cause, report, deadline);
      const placed = await this.registry.placements.open(spec, coming.session, cause, report, deadline);
      return this.grant(placed, spec, request, kind, coming.session, false);
    }
    const reused = kept || (server.isCurrent(spec) && !server.busy);
    if (!kept) await server.start(spec, cause, report, deadline);
    return this.grant(server, spec, request, kind, coming.session, reused);
  }

  /** Idempotent. */
  release(session: string): void {
    const closed = this.books.remove(session);
    if (closed) this.closed(closed, "ended");
  }

  /** Ends what clients have left behind that could not say so. */
  sweep(): void {
    for (const session of this.books.sweep()) this.closed(session, "was left behind: its process is gone");
    this.registry.placements.sweep((session) => this.books.knows(session));
  }

  /** Also by sessions that an earlier manager gave: the bridge knows them. */
  async inUse(server: Server): Promise<boolean> {
    const open = this.books.list().filter((session) => session.server === server.name);
    // The sessions of our own tool calls are opened again at will.
    const own = open.filter(({ kind }) => kind === "manager").length;
    if (open.length > own) return true;
    const health = await server.health(Deadline.in(HEALTH_MS));
    return (health?.sessions ?? 0) > own;
  }

  private grant(
    server: Server,
    spec: ServerSpec,
    request: SessionRequest,
    kind: SessionKind,
    session: string,
    reused: boolean,
  ): SessionGrant {
    const { name, present } = server;
    this.books.add(name, request, kind, session);
    const container = present === undefined ? {} : { container: present.name };
    this.events.add("session.opened", `${kind} session with ${name}`, {
      server: name,
      ...container,
      data: { session, reused },
    });
    const { addresses } = server.view();
    const idle = spec.sessionIdle === "none" ? {} : { idleMs: spec.sessionIdle };
    return { session, server: name, addresses, token: server.token(), messageBytes: spec.limits.message, ...idle };
  }

  private closed({ session, server, kind }: SessionView, how: string): void {
    this.events.add("session.closed", `${kind} session with ${server} ${how}`, { server, data: { session } });
    const { placements } = this.registry;
    if (placements.find(server, session)) placements.close(server, session);
    else if (kind !== "tcp") this.registry.find(server)?.contact.dismiss(session);
  }
}

/** A front's client is the program that launched it: one with many servers is one client. */
function clientOf({ ppid }: SessionRequest, kind: SessionKind): string {
  return kind === "front" ? `front of ${ppid}` : kind;
}

function tooMany(name: string, maxSessions: number): Fault {
  return new Fault("exhausted", `${name} has ${maxSessions} sessions, which is its limit`, {
    hint: "End a client of it, or raise its maxSessions.",
  });
}
