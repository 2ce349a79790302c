/** The books: which client has a session with which server. The bridge owns the sessions, this knows whose they are. */
import type { SessionRequest, SessionView } from "../model/views.ts";

export type SessionKind = SessionView["kind"];

export class Sessions {
  private readonly open = new Map<string, SessionView>();

  constructor(private readonly now: () => number = Date.now) {}

  /** `mcp-session-{PPID}-{PID}-{milliseconds}[-{terminal}]`, unique in this manager. */
  add(server: string, request: SessionRequest, kind: SessionKind): SessionView {
    const since = this.now();
    const session = this.freshId(request, since);
    const view: SessionView = { session, server, kind, since, ...(request.pid > 0 ? { pid: request.pid } : {}) };
    this.open.set(session, view);
    return view;
  }

  remove(session: string): SessionView | undefined {
    const view = this.open.get(session);
    this.open.delete(session);
    return view;
  }

  list(): SessionView[] {
    return [...this.open.values()];
  }

  /** Of one server, or of all. */
  count(server?: string): number {
    if (server === undefined) return this.open.size;
    let count = 0;
    for (const view of this.open.values()) if (view.server === server) count += 1;
    return count;
  }

  /** Takes the sessions of fronts whose process is gone out of the books: killed fronts release nothing themselves. */
  sweep(isAlive: (pid: number) => boolean = processIsAlive): SessionView[] {
    const gone = this.list().filter(({ kind, pid }) => kind === "front" && pid !== undefined && !isAlive(pid));
    for (const { session } of gone) this.open.delete(session);
    return gone;
  }

  private freshId(request: SessionRequest, at: number): string {
    // The wire allows few characters in a session's id; a terminal's path has others.
    const terminal = request.terminal?.replace(/[^A-Za-z0-9._:-]+/g, "_").slice(0, 64);
    const suffix = terminal ? `-${terminal}` : "";
    for (let time = at; ; time += 1) {
      const id = `mcp-session-${request.ppid}-${request.pid}-${time}${suffix}`;
      if (!this.open.has(id)) return id;
    }
  }
}

export function processIsAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, as somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
