/**
 * A session on a bridge: one client's conversation with one server. `bytes` mode hands over ranges as they came (the
 * front's hot path), `line` mode hands over messages as text (whoever speaks MCP itself).
 */
import type { ExitReport } from "../../bridge/wire.ts";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type Connection, dial, type DialOptions } from "./dial.ts";

export interface SessionOptions extends Omit<DialOptions, "mode"> {
  /** `mcp-session-{PPID}-{PID}-{timestamp}[-{terminal}]`; the bridge makes one up when absent. */
  session?: string | undefined;
}

/**
 * How a session ended. `exit`: the server process ended, and the bridge has answered every request in flight itself.
 * `lost`: the connection broke or the bridge gave up on it; requests in flight have no answer. `detached`: we ended it.
 */
export type SessionEnd = { why: "detached" } | { why: "exit"; report: ExitReport } | { why: "lost"; fault: Fault };

/** One of `bytes` and `line`; both see payload only, never control frames. */
export type SessionEvents = {
  /** Nothing is queued any more, after a `write` or `send` that returned false. */
  drained?(): void;
  /** The last event, exactly once. */
  ended(end: SessionEnd): void;
} & ({ bytes(range: Uint8Array): void } | { line(message: string): void });

/** Faults: those of `dial`. The session delivers nothing before `open`. */
export async function dialSession(options: SessionOptions, deadline: Deadline): Promise<Session> {
  return new Session(await dial({ ...options, mode: "session" }, deadline), options.session);
}

export class Session {
  /** JSON-RPC messages sent with `send`; whoever writes bytes counts with `countSent`. */
  sent = 0;
  /** What the bridge says that it has received. */
  acknowledged = 0;
  private detaching = false;
  private report: ExitReport | undefined;
  private outbox: string[] = [];
  private writable = true;

  constructor(
    private readonly connection: Connection,
    private readonly asked: string | undefined,
  ) {}

  get id(): string {
    return this.connection.attached.session ?? this.asked ?? "";
  }

  /** Changes whenever the bridge is started anew. */
  get incarnation(): string {
    return this.connection.attached.incarnation;
  }

  get resumed(): boolean {
    return this.connection.attached.resumed;
  }

  /** The longest message that the bridge takes, bytes. */
  get messageBytes(): number {
    return this.connection.attached.limits.messageBytes;
  }

  /** JSON-RPC messages received so far. */
  get received(): number {
    return this.connection.received;
  }

  get queuedBytes(): number {
    return this.connection.queuedBytes;
  }

  /** Starts delivery. */
  open(events: SessionEvents): void {
    const payload = "bytes" in events ? (range: Uint8Array) => events.bytes(range) : this.lines(events.line);
    this.connection.open({
      payload,
      frame: (frame) => {
        if (frame.link === "ack") this.acknowledged = frame.received;
        if (frame.link === "exit") this.report = frame;
      },
      drained: () => {
        this.writable = true;
        events.drained?.();
      },
      closed: (fault) => events.ended(this.endOf(fault)),
    });
  }

  /** Sends bytes as they are. True while the writer may go on; after false it waits for `drained`. */
  write(bytes: Uint8Array): boolean {
    return this.connection.write(bytes);
  }

  /** Sends one message (no newline in it). Messages of one turn of the event loop leave in one write. */
  send(message: string): boolean {
    this.sent += 1;
    this.outbox.push(message, "\n");
    if (this.outbox.length === 2) queueMicrotask(() => this.flushOutbox());
    return this.writable;
  }

  /** For a writer of bytes: how many messages were in them. */
  countSent(messages: number): void {
    this.sent += messages;
  }

  /** Stops delivery until `resume`, so that the bridge is held back; at most what is on its way still comes. */
  pause(): void {
    this.connection.pause();
  }

  resume(): void {
    this.connection.resume();
  }

  /** Nothing more will be sent; requests in flight still get their answers, then the bridge ends the session. */
  finish(): void {
    this.flushOutbox();
    this.detaching = true;
    this.connection.end();
  }

  /** Gives the session up: the bridge ends it. Idempotent. */
  detach(): void {
    this.flushOutbox();
    this.detaching = true;
    if (this.connection.ended) return;
    this.connection.send({ link: "detach" });
    this.connection.end();
  }

  /** Ends the connection at once, without a word to the bridge. */
  destroy(): void {
    this.detaching = true;
    this.connection.destroy();
  }

  private flushOutbox(): void {
    if (this.outbox.length === 0) return;
    const text = this.outbox.join("");
    this.outbox = [];
    this.writable = this.connection.write(Buffer.from(text));
  }

  /** A range is whole lines, so one decode serves all of them. */
  private lines(deliver: (message: string) => void): (range: Uint8Array) => void {
    return (range) => {
      const text = Buffer.from(range.buffer, range.byteOffset, range.byteLength).toString();
      for (const line of text.split("\n")) {
        if (line !== "" && !this.connection.ended) deliver(line);
      }
    };
  }

  private endOf(fault: Fault | undefined): SessionEnd {
    if (this.report) return { why: "exit", report: this.report };
    if (fault) return { why: "lost", fault };
    if (this.detaching) return { why: "detached" };
    return { why: "lost", fault: new Fault("unreachable", "the bridge closed the connection") };
  }
}
