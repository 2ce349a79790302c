/** The books: which client has a session with which server. The bridge owns the sessions, this knows whose they are. */
import { identify } from "../runtime/process/identity.ts";
import type { SessionRequest } from "../model/session-request.ts";
import type { SessionView } from "../model/views.ts";

export type SessionKind = SessionView["kind"];

/** What tells a process from a later one with the same PID; undefined when there is none. */
type Identify = (pid: number) => string | undefined;

/** A client that is about to get its session. */
export interface Coming extends Disposable {
  /** The id that the session will have. */
  session: string;
}

interface Entry {
  view: SessionView;
  /** Of the client's process; undefined when it cannot be seen from here (another machine's, another container's). */
  process: string | undefined;
}

export class Sessions {
  private readonly open = new Map<string, Entry>();
  /** Clients that wait for a session: the server by the session's id. */
  private readonly coming = new Map<string, string>();
  /** The time in the last session's id. */
  private latest = 0;

  constructor(
    private readonly now: () => number = Date.now,
    private readonly identify: Identify = identityOf,
  ) {}

  /** `session`: the id that the client was promised (`expect`); a new one when absent. */
  add(server: string, request: SessionRequest, kind: SessionKind, session?: string): SessionView {
    const since = this.now();
    const id = session ?? this.freshId(request, since);
    const view: SessionView = { session: id, server, kind, since, ...(request.pid > 0 ? { pid: request.pid } : {}) };
    this.open.set(id, { view, process: kind === "front" ? this.identify(request.pid) : undefined });
    return view;
  }

  /** A client is about to get a session: until this is disposed of, nobody may take the server away as unused. */
  expect(server: string, request: SessionRequest): Coming {
    const session = this.freshId(request, this.now());
    this.coming.set(session, server);
    return { session, [Symbol.dispose]: () => void this.coming.delete(session) };
  }

  /** The same without those that our own tool calls keep open between two calls. */
  users(server: string): number {
    let own = 0;
    for (const { view } of this.open.values()) if (view.server === server && view.kind === "manager") own += 1;
    return this.wanted(server) - own;
  }

  /** Sessions with a server, and clients that are about to get one. */
  wanted(server: string): number {
    let coming = 0;
    for (const wanted of this.coming.values()) if (wanted === server) coming += 1;
    return this.count(server) + coming;
  }

  /** Whether a client has the session or is about to get it. */
  knows(session: string): boolean {
    return this.open.has(session) || this.coming.has(session);
  }

  remove(session: string): SessionView | undefined {
    const entry = this.open.get(session);
    this.open.delete(session);
    return entry?.view;
  }

  list(): SessionView[] {
    return [...this.open.values()].map(({ view }) => view);
  }

  /** Of one server, or of all. */
  count(server?: string): number {
    if (server === undefined) return this.open.size;
    let count = 0;
    for (const { view } of this.open.values()) if (view.server === server) count += 1;
    return count;
  }

  /** Takes the sessions of fronts whose process is gone out of the books: killed fronts release nothing themselves. */
  sweep(): SessionView[] {
    const gone: SessionView[] = [];
    for (const { view, process } of this.open.values()) {
      if (process === undefined || this.lives(view.pid ?? 0, process)) continue;
      this.open.delete(view.session);
      gone.push(view);
    }
    return gone;
  }

  private lives(pid: number, process: string): boolean {
    try {
      return this.identify(pid) === process;
    } catch {
      // Nothing can be opened just now, so nothing is known: the next look will tell.
      return true;
    }
  }

  /** `mcp-session-{PPID}-{PID}-{milliseconds}[-{terminal}]`, unique in this manager. */
  private freshId(request: SessionRequest, at: number): string {
    // The wire allows few characters in a session's id; a terminal's path has others.
    const terminal = request.terminal?.replace(/[^A-Za-z0-9._:-]+/g, "_").slice(0, 64);
    const suffix = terminal ? `-${terminal}` : "";
    // Thousands may come in one millisecond, when the server that they wait for is ready: none looks for a free one again.
    this.latest = Math.max(at, this.latest + 1);
    return `mcp-session-${request.ppid}-${request.pid}-${this.latest}${suffix}`;
  }
}

function identityOf(pid: number): string | undefined {
  if (pid < 2) return undefined;
  // Elsewhere the start time costs a process per look: there the PID alone has to do.
  if (process.platform === "linux") return identify(pid)?.start;
  try {
    process.kill(pid, 0);
    return "alive";
  } catch (error) {
    // EPERM: it lives, as somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM" ? "alive" : undefined;
  }
}
