/**
 * A session on a bridge: one client's conversation with one server, over as many connections as it takes. When one
 * breaks, the session dials again and both ends send what the other lacks: nothing is lost, nothing comes twice.
 * `bytes` mode hands over ranges as they came (the front's hot path), `line` mode hands over messages as text (whoever
 * speaks MCP itself).
 */
import { Acks } from "../../bridge/acks.ts";
import type { BridgeFrame, ExitReport } from "../../bridge/wire.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { attachAgain, attachNew } from "./attach.ts";
import { type Connection, type Dial, dial } from "./dial.ts";
import { messagesOf } from "./inbound.ts";
import { Outbox } from "./outbox.ts";
import { Outgoing } from "./outgoing.ts";
import type { SessionEnd, SessionEvents, SessionOptions } from "./session-events.ts";

/** A bridge that owes acknowledgements and says nothing for this long is not there any more, or cannot be heard. */
const SILENT_MS = 10_000;
const WATCH_MS = 2_500;

export type { SessionEnd, SessionEvents, SessionOptions };

/** Faults: those of `dial`. The session delivers nothing before `open`. */
export async function dialSession(options: SessionOptions, deadline: Deadline): Promise<Session> {
  return new Session(await attachNew(options, deadline, dial), options, dial);
}

export class Session {
  /** JSON-RPC messages sent with `send`; whoever writes bytes counts with `countSent`. */
  sent = 0;
  /** What the bridge says that it has received. */
  acknowledged = 0;
  private readonly outgoing: Outgoing;
  private acks: Acks | undefined;
  private events: SessionEvents | undefined;
  private deliver: (range: Uint8Array) => void = () => {};
  /** Received on earlier connections. */
  private receivedBefore = 0;
  private state: "open" | "broken" | "over" = "open";
  private leaving: "no" | "finishing" | "detaching" = "no";
  private held = false;
  /** Somebody waits for `drained`. */
  private blocked = false;
  private report: ExitReport | undefined;
  private readonly outbox = new Outbox((bytes) => this.write(bytes));
  private readonly givenUp = new AbortController();
  private readonly watch: ReturnType<typeof setInterval> | undefined;
  private heardAt = performance.now();

  constructor(
    private connection: Connection,
    private readonly options: SessionOptions,
    private readonly dial: Dial,
  ) {
    this.outgoing = new Outgoing(connection, this.resumeMs > 0, this.messageBytes);
    this.acks = this.acksOf();
    const { leaseMs } = connection.attached.limits;
    const everyMs = leaseMs > 0 ? Math.min(WATCH_MS, leaseMs / 3) : WATCH_MS;
    if (this.resumeMs > 0) this.watch = setInterval(() => this.look(), everyMs);
  }

  get id(): string {
    return this.connection.attached.session ?? this.options.session ?? "";
  }

  /** Changes whenever the bridge is started anew. */
  get incarnation(): string {
    return this.connection.attached.incarnation;
  }

  /** The longest message that the bridge takes, bytes. */
  get messageBytes(): number {
    return this.connection.attached.limits.messageBytes;
  }

  /** JSON-RPC messages received so far. */
  get received(): number {
    return this.receivedBefore + (this.state === "open" ? this.connection.received : 0);
  }

  get queuedBytes(): number {
    return this.connection.queuedBytes;
  }

  /** Starts delivery. */
  open(events: SessionEvents): void {
    this.events = events;
    this.deliver =
      "bytes" in events ? (range) => events.bytes(range) : (range) => this.deliverLines(range, events.line);
    this.follow(this.connection);
  }

  /** Sends bytes as they are. True while the writer may go on; after false it waits for `drained`. */
  write(bytes: Uint8Array): boolean {
    if (this.state === "over") return false;
    this.outgoing.write(bytes);
    if (this.outgoing.writable) return true;
    this.blocked = true;
    if (this.outgoing.overflown) this.end(new Fault("exhausted", OVERFLOW));
    return false;
  }

  /** Sends one message (no newline in it). Those of one turn of the event loop leave in one write. */
  send(message: string): boolean {
    this.sent += 1;
    this.outbox.push(message);
    return !this.blocked;
  }

  /** For a writer of bytes: how many messages were in them. */
  countSent(messages: number): void {
    this.sent += messages;
  }

  /** Stops delivery until `resume`, so that the bridge is held back; at most what is on its way still comes. */
  pause(): void {
    this.held = true;
    this.connection.pause();
  }

  resume(): void {
    this.held = false;
    this.heardAt = performance.now();
    this.connection.resume();
  }

  /** Nothing more will be sent; requests in flight still get their answers, then the bridge ends the session. */
  finish(): void {
    this.outbox.flush();
    if (this.leaving === "no") this.leaving = "finishing";
    this.sayFinished();
  }

  /** Gives the session up: the bridge ends it. Idempotent. */
  detach(): void {
    this.outbox.flush();
    this.leaving = "detaching";
    if (this.state === "over") return;
    if (this.state === "broken") return this.end(undefined);
    this.outgoing.endLine();
    this.outgoing.send({ link: "detach" });
    this.connection.end();
    // The end of the connection comes behind what was held back.
    this.resume();
  }

  /** Ends the connection at once, without a word to the bridge. */
  destroy(): void {
    this.leaving = "detaching";
    if (this.state === "broken") this.end(undefined);
    this.connection.destroy();
  }

  private get resumeMs(): number {
    const keptMs = this.connection.attached.limits.resumeMs;
    return keptMs === 0 ? 0 : (this.options.resumeMs ?? keptMs);
  }

  /** Where nothing is kept, nothing needs to be acknowledged. */
  private acksOf(): Acks | undefined {
    if (this.resumeMs === 0) return undefined;
    return new Acks((received) => this.outgoing.send({ link: "ack", received }), this.receivedBefore);
  }

  private follow(connection: Connection): void {
    connection.open({
      payload: (range) => {
        this.heardAt = performance.now();
        this.deliver(range);
        this.acks?.note(this.received, range.byteLength);
      },
      frame: (frame) => this.frame(frame),
      drained: () => this.unblock(),
      closed: (fault, final) => this.closed(fault, final),
    });
    if (this.held && !connection.ended) connection.pause();
  }

  private frame(frame: BridgeFrame): void {
    this.heardAt = performance.now();
    if (frame.link === "ack") {
      this.acknowledged = frame.received;
      if (this.outgoing.acknowledge(frame.received)) return this.unblock();
      this.end(new Fault("server-failed", "the bridge acknowledged messages that were never sent"));
    } else if (frame.link === "exit") {
      this.report = frame;
      // So that the bridge need not keep the last words for us.
      this.outgoing.send({ link: "detach" });
    }
  }

  private unblock(): void {
    if (!this.blocked || !this.outgoing.writable) return;
    this.blocked = false;
    this.events?.drained?.();
  }

  private closed(fault: Fault | undefined, final: boolean): void {
    if (this.state !== "open") return;
    const given = this.report !== undefined || this.leaving === "detaching" || final;
    if (given || this.resumeMs === 0) return this.end(fault);
    this.receivedBefore = this.received;
    this.state = "broken";
    this.acks?.stop();
    this.outgoing.detach();
    const broke = fault ?? new Fault("unreachable", "the connection to the server was closed");
    this.events?.interrupted?.(broke);
    // The owner may have given up on hearing of it.
    if (!this.over) void this.restore(broke);
  }

  private get over(): boolean {
    return this.state === "over";
  }

  private async restore(broke: Fault): Promise<void> {
    const deadline = Deadline.in(this.resumeMs, this.givenUp.signal);
    const { id: session, incarnation, receivedBefore: received } = this;
    try {
      const connection = await attachAgain(this.options, { session, incarnation, received }, deadline, this.dial);
      if (connection === undefined) return this.end(broke);
      if (this.over) return connection.destroy();
      this.restored(connection);
    } catch (error) {
      const { message } = Fault.from(error);
      this.end(new Fault("unreachable", `${broke.message}; the session cannot go on: ${message}`, { cause: error }));
    }
  }

  private restored(connection: Connection): void {
    const { resumed, received } = connection.attached;
    if (!resumed || !this.outgoing.attach(connection, received)) {
      connection.destroy();
      return this.end(new Fault("conflict", "the session cannot be resumed: the bridge lacks messages of it"));
    }
    this.connection = connection;
    this.state = "open";
    this.heardAt = performance.now();
    this.acks = this.acksOf();
    if (this.leaving === "finishing") this.sayFinished();
    this.events?.resumed?.();
    if (this.over) return;
    this.follow(connection);
    this.unblock();
  }

  /** Where a broken connection is resumed its end says nothing, so it is said in words. */
  private sayFinished(): void {
    if (this.state !== "open") return;
    if (this.resumeMs === 0) return this.connection.end();
    this.outgoing.endLine();
    this.outgoing.send({ link: "detach", drain: true });
  }

  private look(): void {
    if (this.state !== "open") return;
    const { leaseMs } = this.connection.attached.limits;
    // Whether or not there is traffic: the bridge is to live as long as we do.
    if (leaseMs > 0) this.outgoing.send({ link: "lease" });
    const silent = this.outgoing.unacknowledged && performance.now() - this.heardAt > SILENT_MS;
    // To attach again is a sign of life that needs no end of a message.
    const mute = leaseMs > 0 && this.outgoing.muteMs > leaseMs / 2;
    if ((silent && !this.held) || mute) this.connection.destroy();
  }

  private end(fault: Fault | undefined): void {
    if (this.over) return;
    const wasOpen = this.state === "open";
    this.state = "over";
    clearInterval(this.watch);
    this.acks?.stop();
    this.outgoing.detach();
    this.givenUp.abort();
    if (wasOpen) this.connection.destroy();
    this.events?.ended(this.endOf(fault));
  }

  private deliverLines(range: Uint8Array, deliver: (message: string) => void): void {
    for (const message of messagesOf(range)) if (!this.over) deliver(message);
  }

  private endOf(fault: Fault | undefined): SessionEnd {
    if (this.report) return { why: "exit", report: this.report, undelivered: this.outgoing.pending() };
    // Who has left does not care how the connection ended.
    if (fault && this.leaving !== "detaching") return { why: "lost", fault };
    if (this.leaving !== "no") return { why: "detached" };
    return { why: "lost", fault: new Fault("unreachable", "the bridge closed the connection") };
  }
}

const OVERFLOW =
  "more was written than is kept while the bridge does not take it; the session cannot go on without a hole";
