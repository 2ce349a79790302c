/**
 * One client's conversation with one server process (session policy `process`): bytes in both directions with back
 * pressure, an answer for every request, and one end. It knows no socket: its client is a Peer, which a later
 * connection may replace.
 */
import { Child } from "./child.ts";
import { Drops } from "./drops.ts";
import { Sieve } from "./sieve.ts";
import type { ServerCommand } from "./stdio.ts";
import { Traffic } from "./traffic.ts";
import { type ExitReport, LIMITS } from "./wire.ts";

/** The client's end, as the session sees it. */
export interface Peer {
  /** Bytes that wait for the client to read. */
  readonly queuedBytes: number;
  write(bytes: Uint8Array): void;
  /** Stops reading from the client until `release`. Both idempotent. */
  hold(): void;
  release(): void;
  /** The last words: JSON-RPC errors as lines, then the report; then the connection ends. */
  finish(lastLines: string, report: ExitReport): void;
}

export interface SessionHost {
  readonly messageBytes: number;
  readonly stopMs: number;
  say(text: string): void;
  log(range: Uint8Array): Promise<void> | undefined;
  /** The server process has ended and its client knows. The last event, exactly once. */
  sessionEnded(session: Session, report: ExitReport): void;
}

export class Session {
  /** Messages received from the client and sent to it: lines that are no control frames. */
  received = 0;
  sent = 0;
  /** What the client says that it has received. */
  acknowledged = 0;
  readonly traffic: Traffic;
  readonly drops: Drops;
  private readonly fromServer: Sieve;
  private child: Child | undefined;
  /** What the client has sent before there was a server. */
  private early: Uint8Array[] = [];
  /** Errors of our own that the client is to get with the next flush; a flood of them must not be a flood of writes. */
  private replies = "";
  private clientEnded = false;
  /** Somebody asked for the end of the server. */
  stopped = false;
  private drainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly id: string,
    private readonly host: SessionHost,
    private peer: Peer | undefined,
  ) {
    this.drops = new Drops((text) => host.say(`session ${id}: ${text}`));
    this.traffic = new Traffic(host.messageBytes, {
      dropped: (why, from, line) => this.drops.note(why, from, line),
      reply: (line) => this.reply(line),
      settled: () => this.stopIfDone(),
    });
    this.fromServer = new Sieve(
      host.messageBytes,
      (bytes, start, end, clean) => {
        if (!this.traffic.fromServer(bytes, start, end, clean)) return false;
        this.sent++;
        return true;
      },
      (range) => this.peer?.write(range),
      (line) => this.traffic.longFromServer(line),
    );
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** A client is connected. */
  get attached(): boolean {
    return this.peer !== undefined;
  }

  /** Starts the server. Throws StartFailure. */
  start(command: ServerCommand): void {
    const { host } = this;
    const child = new Child(command, host.stopMs, {
      output: (chunk) => this.output(chunk),
      inputEmpty: () => this.balance(),
      log: (range) => host.log(range),
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
    this.peer?.write(encoder.encode(this.replies));
    this.replies = "";
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
    this.peer = undefined;
    this.stop();
  }

  /** The server cannot be started: JSON-RPC errors for all that was asked already, as lines. */
  failed(message: string): string {
    return this.traffic.abandon({ message, data: { kind: "server-failed" } }).join("");
  }

  /** Ends the server within `budgetMs`. Requests that it does not answer in time are answered with an error. */
  stop(budgetMs = this.host.stopMs): void {
    this.stopped = true;
    clearTimeout(this.drainTimer);
    this.child?.stop(budgetMs);
  }

  private output(chunk: Uint8Array): void {
    this.fromServer.push(chunk);
    this.flush();
    this.balance();
  }

  private reply(line: string): void {
    this.sent++;
    this.replies += line;
    if (this.replies.length > REPLY_CHARS) this.flush();
  }

  /** Back pressure: a source is read only while the queue that it fills is not full. */
  private balance(): void {
    const { peer, child } = this;
    const clientFull = (peer?.queuedBytes ?? 0) >= LIMITS.queueBytes;
    const serverFull = (child?.queuedBytes ?? 0) >= LIMITS.queueBytes;
    if (clientFull) child?.pauseOutput();
    else child?.resumeOutput();
    // Errors for the client's own lines go into the client's queue: they must not grow it without end either.
    if (clientFull || serverFull) peer?.hold();
    else peer?.release();
  }

  private stopIfDone(): void {
    if (this.clientEnded && !this.stopped && this.child && this.traffic.calls.size === 0) this.stop();
  }

  private ended(report: ExitReport): void {
    clearTimeout(this.drainTimer);
    // A last line without a newline may be a message.
    this.fromServer.end();
    this.flush();
    const lines = this.traffic.abandon({ message: report.reason, data: failureData(report) });
    this.sent += lines.length;
    const summary = this.drops.summary();
    if (summary) this.host.say(`session ${this.id}: ${summary}`);
    this.peer?.finish(lines.join(""), report);
    this.peer = undefined;
    this.host.sessionEnded(this, report);
  }
}

const encoder = new TextEncoder();
const REPLY_CHARS = 64 * 1024;

function failureData({ code, signal, oom, stderr }: ExitReport): Record<string, unknown> {
  return { kind: "server-failed", code, signal, oom, stderr };
}
