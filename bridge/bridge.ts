/** What the bridge is apart from its sockets: its sessions, its state, and how it ends. */
import { type Launch, launchChild } from "./child.ts";
import { Lease } from "./lease.ts";
import type { Log } from "./log.ts";
import type { BridgeOptions } from "./options.ts";
import { Replay } from "./replay.ts";
import { Room } from "./room.ts";
import type { Peer } from "./peer.ts";
import { Session, type SessionHost } from "./session.ts";
import { type ShareMaker, Supply, type SupplyHost } from "./supply.ts";
import { survey } from "./survey.ts";
import { type AttachFrame, type BridgeFrame, type ExitReport, type HealthReport, LIMITS } from "./wire.ts";

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

/** Nobody waits for these servers any more: all is over within 5 s of the lease, the removal of the container included. */
const LAPSE_STOP_MS = 2_000;
const USUAL_STOP_MS = 5_000;

/** A server that was given more time than usual needs it. */
function lapseStopMs(stopMs: number): number {
  return stopMs > USUAL_STOP_MS ? stopMs : Math.min(stopMs, LAPSE_STOP_MS);
}

export class Bridge implements SessionHost, SupplyHost {
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
  /** Sessions with a client, or waiting for theirs to come back, by id. */
  private readonly attached = new Map<string, Session>();
  /** Sessions whose server lives, with or without a client; before its start, too. */
  private readonly live = new Set<Session>();
  private readonly room = new Room();
  private readonly lease: Lease;
  private readonly supply: Supply;
  private secrets: Record<string, string> | undefined;
  private lastExit: ExitReport | undefined;
  private droppedBefore = 0;
  private madeUp = 0;
  private draining: ReturnType<typeof setTimeout> | undefined;
  private ending: Ending | undefined;
  private readonly settle: (ending: Ending) => void;

  constructor(
    readonly options: BridgeOptions,
    private readonly logger: Pick<Log, "say" | "write" | "caughtUp">,
    Shared: ShareMaker | undefined,
    launch: Launch = launchChild,
  ) {
    this.messageBytes = options.messageBytes;
    this.stopMs = options.stopMs;
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.over = promise;
    this.settle = resolve;
    this.supply = new Supply(options, launch, this, Shared);
    if (!options.awaitConfigure) this.configure({});
    this.lease = new Lease(
      () => [...this.attached.values()].some(({ replay }) => replay === undefined),
      () => this.stop({ code: 0, why: "the lease has lapsed" }, lapseStopMs(options.stopMs)),
    );
    this.lease.renew(options.leaseMs);
  }

  get queueBytes(): number {
    return this.room.each(this.live);
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
    this.supply.prepare(this.secrets);
    for (const connection of this.waiting) connection.configured();
  }

  /** A session that has yet to be started, or why there can be none. `frame` is absent from a client that says nothing. */
  open(frame: AttachFrame | undefined, peer: Peer): Session | Refusal {
    if (this.ending) return { kind: "unreachable", message: "the bridge is stopping" };
    if (this.draining) return { kind: "unreachable", message: "the bridge is draining and takes no new sessions" };
    const { maxSessions, resumeMs } = this.options;
    if (this.live.size >= maxSessions) {
      return { kind: "exhausted", message: `the bridge has ${this.live.size} sessions; the limit is ${maxSessions}` };
    }
    const id = frame?.session ?? `session-${++this.madeUp}-${randomHex(6)}`;
    const known = this.attached.get(id);
    if (known && !known.finished) return { kind: "conflict", message: `session ${id} is in use` };
    if (known) this.forget(known);
    const replay = frame?.version !== undefined && resumeMs > 0 ? new Replay() : undefined;
    const session = new Session(id, this, peer, replay);
    this.attached.set(id, session);
    this.live.add(session);
    return session;
  }

  /** The session that a client wants to go on with after it has `received` so many messages, or why it cannot. */
  resumable(id: string | undefined, received: number): Session | Refusal {
    if (this.ending) return { kind: "unreachable", message: "the bridge is stopping" };
    const session = id === undefined ? undefined : this.attached.get(id);
    if (!session?.replay || session.pid === undefined) {
      const message = `there is no session ${id ?? "without an id"} to resume: it has ended, or the bridge was started anew`;
      return { kind: "not-found", message };
    }
    const gap = session.gap(received);
    if (gap === undefined) return session;
    // It could only go on with a hole in it.
    this.say(`session ${session.id}: it cannot be resumed: ${gap}`);
    this.leave(session);
    return { kind: "conflict", message: `session ${session.id} cannot be resumed: ${gap}` };
  }

  /** Starts the session's server. Throws StartFailure; then the session is gone. */
  start(session: Session): void {
    try {
      session.start((events) => this.supply.take(this.secrets, events));
      this.say(`session ${session.id}: server process ${session.pid} ${this.supply.how}`);
    } catch (error) {
      this.say(`session ${session.id}: ${error instanceof Error ? error.message : error}`);
      this.forget(session);
      throw error;
    }
  }

  /** The client has left: its id is free again, its server is on its way out. */
  leave(session: Session): void {
    if (this.attached.get(session.id) === session) this.attached.delete(session.id);
    if (session.pid === undefined || session.finished) this.forget(session);
    else session.abandon();
  }

  /** The client's connection broke: the session waits for another one. */
  interrupted(session: Session): void {
    const { resumeMs } = this.options;
    if (this.ending || !session.replay || session.pid === undefined) return this.leave(session);
    this.say(`session ${session.id}: its connection broke`);
    session.interrupt(resumeMs, () => {
      this.say(`session ${session.id}: its client did not come back within ${resumeMs} ms`);
      this.leave(session);
    });
  }

  /** Somebody else knows that the session's client is gone. */
  dismiss(id: string): void {
    const session = this.attached.get(id);
    if (session) this.leave(session);
  }

  sessionEnded(session: Session, report: ExitReport): void {
    this.say(`session ${session.id}: ${report.reason}`);
    if ([...this.live].some(({ checkup }) => checkup.proved)) this.supply.works();
    else if (!session.stopped) this.supply.ended(session.checkup, report);
    if (!session.stopped) this.lastExit = report;
    for (const watcher of this.watchers) watcher.send({ link: "exit", ...report });
    this.retire(session);
    // A client that may have lost the end with its connection comes back for it.
    const awaited = session.replay && !this.ending && this.attached.get(session.id) === session;
    if (!awaited) this.forget(session);
  }

  sharedEnded(): void {
    this.endIfDrained();
  }

  full(): boolean {
    return this.live.size + this.supply.spareCount >= this.options.maxSessions || this.supply.resting;
  }

  spareEnded(report: ExitReport, asked: boolean): void {
    if (!asked) this.lastExit = report;
    for (const watcher of this.watchers) watcher.send({ link: "exit", ...report });
    this.endIfDrained();
  }

  /** Also puts a question to each server; the next report knows whether it was answered. */
  health(): HealthReport {
    const { findings, proved, ...seen } = survey(this.live, this.supply);
    if (proved) this.supply.works();
    let sessions = 0;
    for (const session of this.attached.values()) if (!session.finished) sessions++;
    const leaving = this.ending !== undefined || this.draining !== undefined;
    const trouble = this.supply.trouble(findings);
    return {
      status: leaving ? "draining" : trouble ? "unhealthy" : "ok",
      version: this.options.version,
      uptimeMs: Math.round(performance.now() - this.startedAt),
      ...seen,
      dropped: seen.dropped + this.droppedBefore,
      spares: this.supply.spareCount,
      sessions,
      connections: this.connections,
      ...(trouble ? { trouble } : {}),
      ...(this.lastExit ? { lastExit: this.lastExit } : {}),
    };
  }

  get leaseMs(): number {
    return this.lease.durationMs;
  }

  /** Without a time it lasts as long as before. */
  renewLease(ttlMs = this.lease.durationMs): void {
    this.lease.renew(ttlMs);
  }

  /** An authenticated client or manager has said something. */
  heard(): void {
    this.lease.heard();
  }

  /** Takes no new sessions; ends with 0 when the live ones are finished, or when they have had their time. */
  drain(): void {
    if (this.draining || this.ending) return;
    this.say(`draining, ${this.live.size} sessions left`);
    this.draining = setTimeout(() => this.stop({ code: 0, why: "drained" }), LIMITS.drainMs);
    this.supply.stop(this.stopMs);
    this.endIfDrained();
  }

  /** Ends an unused bridge without a moment in which a session could still begin and then be cut. */
  drainWhenIdle(): void {
    if (this.live.size === 0 && this.attached.size === 0) this.drain();
  }

  /** Ends every session within `budgetMs`, then the bridge. The first ending counts; a later one can be faster. */
  stop(ending: Ending, budgetMs = this.stopMs): void {
    this.ending ??= ending;
    this.lease.cancel();
    this.supply.finish(budgetMs);
    for (const session of new Set([...this.live, ...this.attached.values()])) {
      if (session.pid === undefined || session.finished) this.forget(session);
      else session.stop(budgetMs);
    }
    this.endIfDrained();
  }

  private forget(session: Session): void {
    session.forget();
    this.retire(session);
    if (this.attached.get(session.id) === session) this.attached.delete(session.id);
    this.endIfDrained();
  }

  private retire(session: Session): void {
    if (this.live.delete(session)) this.droppedBefore += session.drops.total;
  }

  private endIfDrained(): void {
    if (this.live.size > 0 || this.attached.size > 0) return;
    if (this.draining) this.ending ??= { code: 0, why: "drained" };
    if (!this.ending || !this.supply.finish(this.stopMs)) return;
    clearTimeout(this.draining);
    this.settle(this.ending);
  }
}

function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
