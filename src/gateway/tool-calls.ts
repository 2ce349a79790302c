/**
 * Tool calls by server name: one session per server, opened at the first call, shared by all, opened anew after a
 * failure, and closed when nobody has used it for a while.
 */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { START_MS, type ToolResult, type ToolView } from "../model/rest.ts";
import type { Session } from "../transport/session.ts";
import type { McpClient, Waiting } from "./client.ts";
import type { Era } from "./exchange.ts";
import { type Doors, type Opened, openSession, type Report } from "./open-session.ts";

/** A session without a call for this long is closed, and with it a server process that only served it. */
const IDLE_MS = 300_000;

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
    private readonly doors: Doors & { era?(server: string): Era | "auto" | undefined },
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
    let held: Opened | undefined;
    const release = () => {
      held?.release();
      held = undefined;
    };
    const open = async (): Promise<Session> => {
      release();
      held = await openSession(this.doors, server, report, deadline);
      return held.session;
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

  private async attempt(
    { connect }: typeof McpClient,
    server: string,
    open: Parameters<typeof McpClient.connect>[0],
    deadline: Deadline,
  ): Promise<McpClient> {
    const said = this.doors.era?.(server) ?? "auto";
    if (said !== "auto") return await connect(open, said, deadline);
    // The legacy era is tried first anyway, and the other one where it is refused.
    const known = this.eras.get(server) === "modern" ? "modern" : undefined;
    try {
      return await connect(open, known, deadline);
    } catch (error) {
      // Another image may run under the name by now.
      this.eras.delete(server);
      if (known === undefined || deadline.passed) throw error;
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
