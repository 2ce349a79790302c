/**
 * The answering end of a connection whose messages are for this process: bytes in, lines as text out, and back. The same
 * wire as a bridge's (docs/wire.md), but nothing is kept for a resume: a conversation ends with its connection.
 */
import { isUtf8 } from "node:buffer";
import { classifyEnds, idText } from "../../bridge/envelope.ts";
import { LineSplitter, type LongLine, type OnLine } from "../../bridge/lines.ts";
import {
  type AttachFrame,
  type DialerFrame,
  formatFrame,
  isControl,
  LIMITS,
  parseDialerFrame,
  WIRE_VERSION,
} from "../../bridge/wire.ts";
import { FAULT_KINDS } from "../base/fault.ts";

/** Changes with the process, which is what a conversation cannot outlive. */
const INCARNATION = crypto.randomUUID();
const BYTE_ORDER_MARK = "\uFEFF";

const NO_UTF8 = '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the line is not UTF-8"}}';

/** The connection, as far as this end needs it. */
export interface LineWire {
  /** True while the writer may go on; after false it waits for `drained`. */
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Closes when everything is written. */
  end(): void;
}

export interface LineEndEvents {
  line(text: string): void;
  drained(): void;
  /** The other end sends no more, and still reads. */
  finished(): void;
  /** It is gone, or wants no more. The last event, once. */
  closed(): void;
}

export class LineEnd {
  private readonly lines = new LineSplitter(LIMITS.messageBytes, (line) => this.overlong(line));
  private events: LineEndEvents | undefined;
  private outbox: string[] = [];
  private writable = true;
  private over = false;

  constructor(
    private readonly wire: LineWire,
    private readonly attach: AttachFrame,
  ) {}

  /** Starts; a dialler of the full wire is told that it is attached. */
  open(events: LineEndEvents): void {
    this.events = events;
    const { version, session } = this.attach;
    if (version === undefined) return;
    const { messageBytes, queueBytes } = LIMITS;
    const attached = {
      link: "attached" as const,
      version: Math.min(version, WIRE_VERSION),
      session: session ?? `session-${crypto.randomUUID()}`,
      resumed: false,
      received: 0,
      incarnation: INCARNATION,
      limits: { messageBytes, queueBytes, resumeMs: 0, leaseMs: 0 },
    };
    this.wire.write(Buffer.from(formatFrame(attached)));
  }

  /** One message. Those of one turn of the event loop leave in one write. False: wait for `drained`. */
  send(message: string): boolean {
    if (this.over) return true;
    this.outbox.push(message, "\n");
    if (this.outbox.length === 2) queueMicrotask(() => this.flush());
    return this.writable;
  }

  pause(): void {
    this.wire.pause();
  }

  resume(): void {
    this.wire.resume();
  }

  end(): void {
    this.flush();
    this.wire.end();
  }

  /** Bytes of the other end. */
  received(chunk: Uint8Array): void {
    this.lines.push(chunk, this.onLine);
  }

  drained(): void {
    this.writable = true;
    if (!this.over) this.events?.drained();
  }

  /** The other end has ended its half. A last line without its newline is a line, too. */
  ended(): void {
    this.lines.end(this.onLine);
    if (!this.over) this.events?.finished();
  }

  /** The connection is gone. Idempotent. */
  closed(): void {
    if (this.over) return;
    this.over = true;
    this.outbox = [];
    this.events?.closed();
  }

  private readonly onLine: OnLine = (bytes, start, end) => {
    if (this.over) return;
    const line = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
    if (!isUtf8(line)) return void this.send(NO_UTF8);
    const text = line.toString();
    if (isControl(bytes, start, end)) return this.control(parseDialerFrame(text));
    this.events?.line(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
  };

  private control(frame: DialerFrame | string): void {
    const link = typeof frame === "string" ? frame : frame.link;
    if (typeof frame !== "string" && frame.link === "detach") {
      if (frame.drain) return this.events?.finished();
      this.end();
      return this.closed();
    }
    // Nothing is kept here that could be acknowledged or leased.
    if (link === "ack" || link === "lease") return;
    const message = typeof frame === "string" ? frame : `a session does not take ${link}`;
    this.wire.write(Buffer.from(formatFrame({ link: "error", kind: "usage", message })));
    this.end();
    this.closed();
  }

  private overlong({ ended, head, tail }: LongLine): void {
    if (!ended) return;
    const envelope = classifyEnds(head, tail);
    const id = envelope?.kind === "request" ? idText(envelope.id) : "null";
    if (envelope?.kind === "notification") return;
    const message = JSON.stringify(`the message is longer than ${LIMITS.messageBytes} bytes`);
    const { rpc } = FAULT_KINDS["too-large"];
    this.send(`{"jsonrpc":"2.0","id":${id},"error":{"code":${rpc},"message":${message},"data":{"kind":"too-large"}}}`);
  }

  private flush(): void {
    if (this.outbox.length === 0) return;
    const text = this.outbox.join("");
    this.outbox = [];
    if (!this.wire.write(Buffer.from(text))) this.writable = false;
  }
}
