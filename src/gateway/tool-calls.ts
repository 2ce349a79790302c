/**
 * Tool calls by server name: one session per server, opened at the first call, shared by all, opened anew after a
 * failure, and closed when nobody has used it for a while.
 */
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault, type FaultKind } from "../base/fault.ts";
import { START_MS, type ToolResult, type ToolView } from "../model/rest.ts";
import type { ProgressView, ServerState, ServerView, SessionGrant } from "../model/views.ts";
import { dialSession, type Session } from "../transport/session.ts";
import type { Whereabouts } from "../transport/session-events.ts";
import type { McpClient, Waiting } from "./client.ts";
import type { Era } from "./exchange.ts";

/** A bridge that runs accepts at once. */
const DIAL_MS = 5_000;
/** A bridge that has just died is asked for until the manager has noticed it, too. */
const REDIAL_MS = 10_000;
const REDIAL_WAIT_MS = 200;
/** Nobody is at its address any more, or by now another bridge, which does not know the token. */
const ELSEWHERE: ReadonlySet<FaultKind> = new Set(["unreachable", "unauthenticated"]);
/** A server in another state has no bridge that a session could be resumed on. */
const ALIVE: ReadonlySet<ServerState> = new Set(["starting", "ready", "unhealthy"]);
/** A session without a call for this long is closed, and with it a server process that only served it. */
const IDLE_MS = 300_000;

type Report = (progress: ProgressView) => void;

/** Where sessions come from: the manager. */
export interface Doors {
  acquire(server: string, report: Report, deadline: Deadline): Promise<SessionGrant>;
  release(session: string): void;
  /** As the session sees it. Faults: `not-found`. */
  view(server: string, session: string): ServerView;
}

export interface CallOptions extends Waiting {
  /** Steps of starting the server, where it has to be started first. */
  report?: Report;
}

interface Link {
  client: Promise<McpClient>;
  /** Ends the start that is under way. */
  abort: AbortController;
  /** Who hears of the start; emptied when it is over. */
  reports: Set<Report>;
  inFlight: number;
  idle: ReturnType<typeof setTimeout> | undefined;
}

export class ToolCalls {
  private readonly links = new Map<string, Link>();
  /** The era in which a server answered last, so that a modern-only one is not asked in vain each time. */
  private readonly eras = new Map<string, Era>();
  private closed = false;

  constructor(
    private readonly doors: Doors,
    private readonly idleMs = IDLE_MS,
  ) {}

  tools(server: string, options: CallOptions = {}): Promise<ToolView[]> {
    return this.through(server, options, (client) => client.tools(options));
  }

  /** A result with `isError` is a result. */
  call(server: string, tool: string, args: Record<string, unknown>, options: CallOptions = {}): Promise<ToolResult> {
    return this.through(server, options, (client) => client.call(tool, args, options));
  }

  /** Requests that wait for an answer. */
  get inFlight(): number {
    return [...this.links.values()].reduce((sum, link) => sum + link.inFlight, 0);
  }

  /** Closes the session with a server unless it is in use. True if it was open and is closed. */
  async letGo(server: string): Promise<boolean> {
    const link = this.links.get(server);
    if (!link || link.inFlight > 0) return false;
    await this.drop(server, link);
    return true;
  }

  /** Closes every session; what still waits ends as cancelled. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.links].map(([server, link]) => this.drop(server, link)));
  }

  private async through<T>(server: string, options: CallOptions, use: (client: McpClient) => Promise<T>): Promise<T> {
    if (this.closed) throw new Fault("unreachable", "the manager is stopping");
    const link = this.links.get(server) ?? this.open(server);
    clearTimeout(link.idle);
    link.inFlight += 1;
    const { report, deadline = Deadline.in(START_MS), signal } = options;
    if (report) link.reports.add(report);
    try {
      const wait = signal ? Deadline.in(deadline.remainingMs, signal) : deadline;
      return await use(await wait.race(`the start of ${server}`, link.client));
    } finally {
      if (report) link.reports.delete(report);
      link.inFlight -= 1;
      if (link.inFlight === 0) this.closeWhenIdle(server, link);
    }
  }

  private open(server: string): Link {
    const reports = new Set<Report>();
    // Not the first caller's deadline: others wait for the same session, and it is there for the next call.
    const abort = new AbortController();
    const client = this.connect(server, reports, Deadline.in(START_MS, abort.signal));
    const link: Link = { client, abort, reports, inFlight: 0, idle: undefined };
    this.links.set(server, link);
    const forget = () => {
      if (this.links.get(server) === link) this.links.delete(server);
      clearTimeout(link.idle);
    };
    client.then((opened) => {
      this.eras.set(server, opened.era);
      opened.onEnded(forget);
    }, forget);
    return link;
  }

  private async connect(server: string, reports: Set<Report>, deadline: Deadline): Promise<McpClient> {
    // Loaded at the first call: a manager whose clients are all fronts never needs the SDK.
    const { McpClient } = await import("./client.ts");
    const report: Report = (progress) => {
      for (const listener of reports) listener(progress);
    };
    let grant: SessionGrant | undefined;
    const release = () => {
      if (grant) this.doors.release(grant.session);
      grant = undefined;
    };
    const open = async (): Promise<Session> => {
      const until = performance.now() + REDIAL_MS;
      for (;;) {
        release();
        const granted = (grant = await this.doors.acquire(server, report, deadline));
        const { addresses, token, session } = granted;
        const whereabouts = async () => this.whereabouts(granted);
        try {
          return await dialSession({ addresses, token, session, whereabouts }, deadline.within(DIAL_MS));
        } catch (error) {
          if (!ELSEWHERE.has(Fault.from(error).kind) || performance.now() > until) throw error;
          await sleep(REDIAL_WAIT_MS, deadline.signal);
        }
      }
    };
    try {
      const client = await this.attempt(McpClient, server, open, deadline);
      client.onEnded(release);
      return client;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Undefined if the server has ended, and the session's bridge with it. */
  private whereabouts({ server, session, token }: SessionGrant): Whereabouts | undefined {
    try {
      const { state, addresses } = this.doors.view(server, session);
      return ALIVE.has(state) && addresses.length > 0 ? { addresses, token } : undefined;
    } catch {
      return undefined;
    }
  }

  private async attempt(
    { connect }: typeof McpClient,
    server: string,
    open: Parameters<typeof McpClient.connect>[0],
    deadline: Deadline,
  ): Promise<McpClient> {
    const known = this.eras.get(server);
    try {
      return await connect(open, known, deadline);
    } catch (error) {
      // Another image may run under the name by now.
      this.eras.delete(server);
      if (known !== "modern" || deadline.passed) throw error;
      return await connect(open, undefined, deadline);
    }
  }

  private closeWhenIdle(server: string, link: Link): void {
    if (this.links.get(server) !== link) return;
    link.idle = setTimeout(() => void this.drop(server, link), this.idleMs);
    link.idle.unref();
  }

  private async drop(server: string, link: Link): Promise<void> {
    if (this.links.get(server) === link) this.links.delete(server);
    clearTimeout(link.idle);
    link.abort.abort();
    // A session that failed to open needs no closing.
    await link.client.then((client) => client.close()).catch(() => {});
  }
}
