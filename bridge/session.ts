/**
 * One client's conversation with one server process (session policy `process`): bytes in both directions with back
 * pressure, an answer for every request, and one end. It knows no socket: its client is a Peer, which a later
 * connection may replace, and what the client has not acknowledged is kept for that one.
 */
import { Checkup, type Patient } from "./checkup.ts";
import type { SessionEvents, ServerProcess } from "./child.ts";
import { Drops } from "./drops.ts";
import { Patience } from "./patience.ts";
import type { Peer } from "./peer.ts";
import type { Replay } from "./replay.ts";
import { Sieve } from "./sieve.ts";
import { OUTCOME, Traffic } from "./traffic.ts";
import { Turns } from "./turns.ts";
import { type ExitReport, LIMITS } from "./wire.ts";

export interface SessionHost {
  readonly messageBytes: number;
  /** What may wait for one reader, and be kept for a resume. */
  readonly queueBytes: number;
  readonly stopMs: number;
  say(text: string): void;
  log(range: Uint8Array): Promise<void> | undefined;
  /** The server process has ended and its client knows, if there is one. The last event, exactly once. */
  sessionEnded(session: Session, report: ExitReport): void;
}

export class Session implements Patient {
  /** Messages received from the client: lines that are no control frames. */
  received = 0;
  readonly traffic: Traffic;
  readonly drops: Drops;
  readonly checkup = new Checkup(this);
  private readonly fromServer: Sieve;
  private readonly turns = new Turns(
    (bytes) => this.fromServer.push(bytes),
    () => this.worked(),
  );
  private child: ServerProcess | undefined;
  /** What the client has sent before there was a server. */
  private early: Uint8Array[] = [];
  /** Errors of our own that the client is to get with the next flush; a flood of them must not be a flood of writes. */
  private replies = "";
  private clientEnded = false;
  /** Read since the client has left for good; before, undefined. */
  private ignoredBytes: number | undefined;
  /** Somebody asked for the end of the server. */
  stopped = false;
  private drainTimer: ReturnType<typeof setTimeout> | undefined;
  private returnTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly patience: Patience | undefined;
  /** How the server ended. The session may still wait for its client to fetch that. */
  private report: ExitReport | undefined;

  /** With a `replay` it can be resumed when its connection breaks. */
  constructor(
    readonly id: string,
    private readonly host: SessionHost,
    private peer: Peer | undefined,
    readonly replay: Replay | undefined,
  ) {
    this.patience = replay && new Patience(replay, host, (silent) => this.look(silent));
    this.drops = new Drops((text) => host.say(`session ${id}: ${text}`));
    this.traffic = new Traffic(host.messageBytes, {
      dropped: (why, from, line) => this.drops.note(why, from, line),
      reply: (line) => this.reply(line),
      answered: (answered, error) => this.checkup.answered(answered, error),
      settled: () => this.stopIfDone(),
      request: this.checkup.request,
      own: this.checkup.settles,
    });
    this.fromServer = new Sieve(
      host.messageBytes,
      this.traffic.fromServer,
      (range) => this.toClient(range),
      (line) => this.traffic.longFromServer(line),
    );
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  get inFlight(): number {
    return this.traffic.calls.size;
  }

  get unreadBytes(): number {
    return this.child?.queuedBytes ?? 0;
  }

  /** What waits for either side, or is kept for a resume; not what waits for a server that others fill, too. */
  get waitingBytes(): number {
    const unread = this.child?.shared ? 0 : this.unreadBytes;
    return Math.max(this.peer?.queuedBytes ?? 0, this.replay?.keptBytes ?? 0) + unread;
  }

  tell(line: string): void {
    this.child?.write(encoder.encode(line));
  }

  /** Its server has ended. */
  get finished(): boolean {
    return this.report !== undefined;
  }

  /** The client has said that it will send nothing more. */
  get clientFinished(): boolean {
    return this.clientEnded;
  }

  /** Starts the server. Throws StartFailure. */
  start(launch: (events: SessionEvents) => ServerProcess): void {
    const child = launch({
      output: (chunk) => this.output(chunk),
      inputEmpty: () => this.balance(),
      waitingBytes: () => Math.max(this.peer?.queuedBytes ?? 0, this.replay?.keptBytes ?? 0),
      log: (range) => this.host.log(range),
      ended: (report) => this.ended({ session: this.id, ...report }),
    });
    this.child = child;
    for (const range of this.early) child.write(range);
    this.early = [];
    this.balance();
    this.stopIfDone();
  }

  /** Passes a range of whole lines, judged by `traffic.fromClient`, to the server. */
  write(range: Uint8Array): void {
    if (this.child) this.child.write(range);
    else this.early.push(range);
    this.balance();
  }

  /** To be called at the end of each chunk from the client. */
  flush(): void {
    if (this.replies === "") return;
    const replies = this.replies;
    this.replies = "";
    this.toClient(encoder.encode(replies));
    this.balance();
  }

  /** The client can take more. */
  peerEmpty(): void {
    this.balance();
  }

  /** The client sends nothing more, but still reads: what is in flight may finish, then the server is stopped. */
  endOfClient(): void {
    if (this.clientEnded) return;
    this.clientEnded = true;
    this.drainTimer = setTimeout(() => this.stop(), LIMITS.drainMs);
    this.stopIfDone();
  }

  /** The client is gone: nobody is left to answer. */
  abandon(): void {
    this.ignoredBytes ??= 0;
    this.peer = undefined;
    clearTimeout(this.returnTimer);
    this.stop();
  }

  /** The connection broke. The server goes on until what it says fills the replay; `expired` if nobody resumes in time. */
  interrupt(ms: number, expired: () => void): void {
    this.flush();
    this.peer = undefined;
    clearTimeout(this.returnTimer);
    this.returnTimer = setTimeout(expired, ms);
    this.balance();
  }

  /** Why a client that has `received` so many messages cannot go on from there. */
  gap(received: number): string | undefined {
    return this.replay?.gap(received);
  }

  /** A new connection of the same client, after `gap` found none: it is sent what it lacks, then all that follows. */
  resume(peer: Peer, received: number): void {
    clearTimeout(this.returnTimer);
    this.patience?.rest();
    this.peer?.replaced();
    // Nobody yet: whatever the server says now must come behind what is sent again.
    this.peer = undefined;
    this.acknowledge(received);
    for (const range of this.replay?.pending() ?? []) peer.write(range);
    this.peer = peer;
    if (this.report) peer.finish(this.report);
    this.balance();
  }

  /** The client has received so many messages. False: it says something impossible. */
  acknowledge(received: number): boolean {
    if (this.patience?.acknowledge(received) === false) return false;
    if (this.patience?.tried) this.balance();
    return true;
  }

  /** Nothing is waited for any more. */
  forget(): void {
    clearTimeout(this.returnTimer);
    clearTimeout(this.drainTimer);
    this.patience?.rest();
  }

  /** The server cannot be started: JSON-RPC errors for all that was asked already, as lines. */
  failed(message: string): string {
    return this.traffic.abandon(`${message}; ${OUTCOME.undone}`).join("");
  }

  /** Ends the server within `budgetMs`. Requests that it does not answer in time are answered with an error. */
  stop(budgetMs = this.host.stopMs): void {
    this.stopped = true;
    clearTimeout(this.drainTimer);
    this.child?.stop(budgetMs);
  }

  private output(chunk: Uint8Array): void {
    if (this.ignoredBytes !== undefined && this.child?.shared !== true) return this.ignore(chunk);
    this.turns.push(chunk);
    this.worked();
  }

  private worked(): void {
    this.flush();
    this.balance();
  }

  /** Read all the same, so that the server can end in order; one that goes on and on waits for its signal. */
  private ignore(chunk: Uint8Array): void {
    this.ignoredBytes = (this.ignoredBytes ?? 0) + chunk.length;
    this.balance();
  }

  private reply(line: string): void {
    this.replies += line;
    if (this.replies.length > REPLY_CHARS) this.flush();
  }

  /** Whole lines, newlines included. */
  private toClient(range: Uint8Array): void {
    const { peer } = this;
    // A shared server goes on for others.
    const shared = this.child?.shared === true;
    peer?.write(range);
    this.patience?.keep(range, peer !== undefined || shared);
    if (shared && peer && peer.queuedBytes > this.host.queueBytes + this.host.messageBytes)
      peer.cut("is too far behind");
  }

  /** Back pressure: a source is read only while the queue that it fills is not full. */
  private balance(): void {
    const { peer, child } = this;
    const { queueBytes } = this.host;
    const clientFull = (peer?.queuedBytes ?? 0) >= queueBytes;
    const serverFull = (child?.queuedBytes ?? 0) >= queueBytes;
    const ignored = (this.ignoredBytes ?? 0) > IGNORED_BYTES_MAX;
    const ahead = this.patience?.exhausted(peer !== undefined, serverFull);
    if (ignored || clientFull || ahead || this.turns.busy) child?.pauseOutput();
    else child?.resumeOutput();
    // Errors for the client's own lines go into the client's queue: they must not grow it without end either.
    if (clientFull || serverFull) peer?.hold();
    else peer?.release();
  }

  private look(silent: boolean): void {
    if (silent) this.peer?.cut("has acknowledged nothing for too long");
    this.balance();
  }

  private stopIfDone(): void {
    if (this.clientEnded && !this.stopped && this.child && this.traffic.calls.size === 0) this.stop();
  }

  private ended(report: ExitReport): void {
    clearTimeout(this.drainTimer);
    // A last line without a newline may be a message.
    this.turns.finish();
    this.fromServer.end();
    this.flush();
    const { session: _, reason, ...data } = report;
    const lines = this.traffic.abandon(`${reason}; ${OUTCOME.unknown}`, data);
    this.toClient(encoder.encode(lines.join("")));
    this.report = report;
    const summary = this.drops.summary();
    if (summary) this.host.say(`session ${this.id}: ${summary}`);
    this.peer?.finish(report);
    this.host.sessionEnded(this, report);
  }
}

const encoder = new TextEncoder();
const REPLY_CHARS = 64 * 1024;
/** Of what a server says when nobody is left to hear it. */
const IGNORED_BYTES_MAX = 1024 * 1024;
