/** What the bridge is apart from its sockets: its sessions, its state, and how it ends. */
import { serverEnvironment } from "./environment.ts";
import { Lease } from "./lease.ts";
import type { Log } from "./log.ts";
import type { BridgeOptions } from "./options.ts";
import { type Peer, Session, type SessionHost } from "./session.ts";
import { type BridgeFrame, type ExitReport, type HealthReport, LIMITS } from "./wire.ts";

/** A refusal: what goes into an `error` frame. */
export interface Refusal {
  kind: string;
  message: string;
  hint?: string;
}

/** A control connection, as the bridge sees it. */
export interface Watcher {
  send(frame: BridgeFrame): void;
}

/** A connection whose session starts with the next `configure`. */
export interface Waiting {
  configured(): void;
}

/** How the bridge ends, and with which exit status. */
export interface Ending {
  code: number;
  why: string;
}

export class Bridge implements SessionHost {
  /** Changes whenever the bridge is started anew. */
  readonly incarnation = randomHex(12);
  readonly messageBytes: number;
  readonly stopMs: number;
  readonly watchers = new Set<Watcher>();
  readonly waiting = new Set<Waiting>();
  /** Settles once no session is left and the bridge is to end. */
  readonly over: Promise<Ending>;
  connections = 0;
  private readonly startedAt = performance.now();
  /** Sessions with a client, by id. */
  private readonly attached = new Map<string, Session>();
  /** Sessions whose server lives, with or without a client. */
  private readonly live = new Set<Session>();
  private readonly lease: Lease;
  private secrets: Record<string, string> | undefined;
  private lastExit: ExitReport | undefined;
  private startFailure: string | undefined;
  private droppedBefore = 0;
  private madeUp = 0;
  private draining: ReturnType<typeof setTimeout> | undefined;
  private ending: Ending | undefined;
  private readonly settle: (ending: Ending) => void;

  constructor(
    readonly options: BridgeOptions,
    private readonly logger: Log,
  ) {
    this.messageBytes = options.messageBytes;
    this.stopMs = options.stopMs;
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.over = promise;
    this.settle = resolve;
    if (!options.awaitConfigure) this.secrets = {};
    this.lease = new Lease(
      () => this.attached.size > 0,
      () => this.stop({ code: 0, why: "the lease has lapsed" }),
    );
  }

  say(text: string): void {
    this.logger.say(text);
  }

  log(range: Uint8Array): Promise<void> | undefined {
    this.logger.write(range);
    return this.logger.caughtUp();
  }

  /** Whether servers may be started; who comes earlier waits in `waiting`. */
  get configured(): boolean {
    return this.secrets !== undefined;
  }

  configure(env: Record<string, string>): void {
    this.secrets = { ...this.secrets, ...env };
    for (const connection of this.waiting) connection.configured();
  }

  /** A session that has yet to be started, or why there can be none. */
  open(wanted: string | undefined, peer: Peer): Session | Refusal {
    if (this.ending) return { kind: "unreachable", message: "the bridge is stopping" };
    if (this.draining) return { kind: "unreachable", message: "the bridge is draining and takes no new sessions" };
    const { maxSessions } = this.options;
    if (this.live.size >= maxSessions) {
      return { kind: "exhausted", message: `the bridge has ${this.live.size} sessions; the limit is ${maxSessions}` };
    }
    const id = wanted ?? `session-${++this.madeUp}-${randomHex(6)}`;
    if (this.attached.has(id)) return { kind: "conflict", message: `session ${id} has a connection already` };
    const session = new Session(id, this, peer);
    this.attached.set(id, session);
    this.live.add(session);
    return session;
  }

  /** Starts the session's server. Throws StartFailure; then the session is gone. */
  start(session: Session): void {
    try {
      session.start({ argv: this.options.command, env: serverEnvironment(process.env, this.secrets) });
      this.startFailure = undefined;
      this.say(`session ${session.id}: server process ${session.pid} started`);
    } catch (error) {
      this.startFailure = error instanceof Error ? error.message : String(error);
      this.say(`session ${session.id}: ${this.startFailure}`);
      this.forget(session);
      throw error;
    }
  }

  /** The client has left: its id is free again, its server is on its way out. */
  leave(session: Session): void {
    if (this.attached.get(session.id) === session) this.attached.delete(session.id);
    if (session.pid === undefined) this.forget(session);
    else session.abandon();
  }

  sessionEnded(session: Session, report: ExitReport): void {
    this.say(`session ${session.id}: ${report.reason}`);
    if (!session.stopped) this.lastExit = report;
    for (const watcher of this.watchers) watcher.send({ link: "exit", ...report });
    this.forget(session);
  }

  health(): HealthReport {
    let inFlight = 0;
    let processes = 0;
    let dropped = this.droppedBefore;
    for (const session of this.live) {
      inFlight += session.traffic.calls.size;
      dropped += session.drops.total;
      if (session.pid !== undefined) processes++;
    }
    const leaving = this.ending !== undefined || this.draining !== undefined;
    return {
      status: leaving ? "draining" : this.startFailure === undefined ? "ok" : "unhealthy",
      version: this.options.version,
      uptimeMs: Math.round(performance.now() - this.startedAt),
      processes,
      sessions: this.attached.size,
      connections: this.connections,
      inFlight,
      dropped,
      ...(this.lastExit ? { lastExit: this.lastExit } : {}),
    };
  }

  renewLease(ttlMs: number): void {
    this.lease.renew(ttlMs);
  }

  /** Takes no new sessions; ends with 0 when the live ones are finished, or when they have had their time. */
  drain(): void {
    if (this.draining || this.ending) return;
    this.say(`draining, ${this.live.size} sessions left`);
    this.draining = setTimeout(() => this.stop({ code: 0, why: "drained" }), LIMITS.drainMs);
    this.endIfDrained();
  }

  /** Ends an unused bridge without a moment in which a session could still begin and then be cut. */
  drainWhenIdle(): void {
    if (this.live.size === 0) this.drain();
  }

  /** Ends every session within `budgetMs`, then the bridge. The first ending counts; a later one can be faster. */
  stop(ending: Ending, budgetMs = this.stopMs): void {
    this.ending ??= ending;
    this.lease.cancel();
    for (const session of this.live) {
      if (session.pid === undefined) this.forget(session);
      else session.stop(budgetMs);
    }
    this.endIfDrained();
  }

  private forget(session: Session): void {
    if (!this.live.delete(session)) return;
    this.droppedBefore += session.drops.total;
    if (this.attached.get(session.id) === session) this.attached.delete(session.id);
    this.endIfDrained();
  }

  private endIfDrained(): void {
    if (this.live.size > 0) return;
    if (this.draining) this.ending ??= { code: 0, why: "drained" };
    if (!this.ending) return;
    clearTimeout(this.draining);
    this.settle(this.ending);
  }
}

function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
