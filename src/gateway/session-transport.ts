/** A session with a bridge as a transport of the MCP SDK: one message is one line. */
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Session, SessionEnd } from "../transport/session.ts";

/** A bridge acknowledges a detach at once; its server process ends on its own time. */
const CLOSE_MS = 2_000;

/** Messages that may wait for a notification to be handled. */
const QUEUE_MAX = 64;

export class SessionTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: Transport["onmessage"];
  /** How the session ended; undefined while it lives. */
  end: SessionEnd | undefined;
  /** Who waits for room, or for the end. */
  private readonly waiting: Array<() => void> = [];
  /** What came during the pause after a notification. */
  private readonly queue: Array<{ step: () => void; pauses: boolean }> = [];
  private pausing = false;

  constructor(private readonly session: Session) {}

  start(): Promise<void> {
    this.session.open({
      line: (line) => this.receive(line),
      drained: () => this.wake(),
      ended: (end) => this.deliver(() => this.finish(end)),
    });
    return Promise.resolve();
  }

  /** Resolves when the bridge's buffers have room again, so that a slow server slows down its callers. */
  async send(message: JSONRPCMessage): Promise<void> {
    if (this.end) throw endFault(this.end);
    const line = JSON.stringify(message);
    const bytes = Buffer.byteLength(line);
    if (bytes > this.session.messageBytes) {
      throw new Fault("too-large", `the message has ${bytes} bytes; this server takes ${this.session.messageBytes}`, {
        hint: "Raise limits.message of the server.",
        data: { bytes, limitBytes: this.session.messageBytes },
      });
    }
    if (this.session.send(line)) return;
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** Detaches, and resolves when the bridge has closed the session, or was given up on. */
  async close(): Promise<void> {
    if (this.end) return;
    this.session.detach();
    const ended = new Promise<void>((resolve) => this.waiting.push(resolve));
    await Deadline.in(CLOSE_MS)
      .race("the end of the session", ended)
      .catch(() => this.session.destroy());
  }

  private receive(line: string): void {
    let message: JSONRPCMessage;
    try {
      message = JSON.parse(line);
    } catch {
      // The bridge lets only JSON-RPC through; what is broken in it all the same belongs to no request.
      this.onerror?.(new Fault("server-failed", "the server sent a message that is not JSON"));
      return;
    }
    this.deliver(() => this.onmessage?.(message), !("id" in message));
  }

  /**
   * In order, and with a turn of the event loop after each notification: the SDK handles those later than answers, so
   * the last progress of a call would come after the call has ended, and be dropped. A flood is not waited for.
   */
  private deliver(step: () => void, pauses = false): void {
    this.queue.push({ step, pauses });
    if (!this.pausing || this.queue.length > QUEUE_MAX) this.run();
  }

  private run(): void {
    const steps = this.queue;
    for (let next = steps.shift(); next; next = steps.shift()) {
      next.step();
      if (!next.pauses || steps.length > QUEUE_MAX || this.pausing) continue;
      this.pausing = true;
      setImmediate(() => {
        this.pausing = false;
        this.run();
      });
      return;
    }
  }

  private finish(end: SessionEnd): void {
    this.end = end;
    this.wake();
    this.onclose?.();
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

/** Why a session is over, for whoever waits for an answer on it. */
export function endFault(end: SessionEnd): Fault {
  if (end.why === "lost") return end.fault;
  if (end.why === "detached") return new Fault("cancelled", "the session with the server was closed");
  const { reason, code, signal, oom, stderr } = end.report;
  return new Fault("server-failed", reason, { data: { code, signal, oom, stderr } });
}
