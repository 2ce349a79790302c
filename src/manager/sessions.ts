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

interface Tally {
  open: number;
  /** Of these, our own tool calls. */
  own: number;
  coming: number;
}

export class Sessions {
  private readonly open = new Map<string, Entry>();
  /** Clients that wait for a session: the server by the session's id. */
  private readonly coming = new Map<string, string>();
  /** By server, so that nobody counts thousands of sessions for each that comes. */
  private readonly tallies = new Map<string, Tally>();
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
    this.remove(id);
    this.tally(server, kind === "manager" ? { open: 1, own: 1 } : { open: 1 });
    this.open.set(id, { view, process: kind === "front" ? this.identify(request.pid) : undefined });
    return view;
  }

  /** A client is about to get a session: until this is disposed of, nobody may take the server away as unused. */
  expect(server: string, request: SessionRequest): Coming {
    const session = this.freshId(request, this.now());
    this.coming.set(session, server);
    this.tally(server, { coming: 1 });
    const arrived = () => void (this.coming.delete(session) && this.tally(server, { coming: -1 }));
    return { session, [Symbol.dispose]: arrived };
  }

  /** The same without those that our own tool calls keep open between two calls. */
  users(server: string): number {
    return this.wanted(server) - (this.tallies.get(server)?.own ?? 0);
  }

  /** Sessions with a server, and clients that are about to get one. */
  wanted(server: string): number {
    return this.count(server) + (this.tallies.get(server)?.coming ?? 0);
  }

  /** Whether a client has the session or is about to get it. */
  knows(session: string): boolean {
    return this.open.has(session) || this.coming.has(session);
  }

  remove(session: string): SessionView | undefined {
    const view = this.open.get(session)?.view;
    if (!view) return undefined;
    this.open.delete(session);
    this.tally(view.server, view.kind === "manager" ? { open: -1, own: -1 } : { open: -1 });
    return view;
  }

  list(): SessionView[] {
    return [...this.open.values()].map(({ view }) => view);
  }

  /** Of one server, or of all. */
  count(server?: string): number {
    if (server === undefined) return this.open.size;
    return this.tallies.get(server)?.open ?? 0;
  }

  /** Takes the sessions of fronts whose process is gone out of the books: killed fronts release nothing themselves. */
  sweep(): SessionView[] {
    const gone: SessionView[] = [];
    for (const { view, process } of this.open.values()) {
      if (process === undefined || this.lives(view.pid ?? 0, process)) continue;
      this.remove(view.session);
      gone.push(view);
    }
    return gone;
  }

  private tally(server: string, { open = 0, own = 0, coming = 0 }: Partial<Tally>): void {
    const tally = this.tallies.get(server) ?? { open: 0, own: 0, coming: 0 };
    const next = { open: tally.open + open, own: tally.own + own, coming: tally.coming + coming };
    if (next.open + next.coming > 0) this.tallies.set(server, next);
    else this.tallies.delete(server);
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
