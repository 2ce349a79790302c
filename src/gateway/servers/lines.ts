/**
 * What a server is spoken to over: one message is one line, in both directions. A session with a bridge is one; a toolset
 * of our own, in this process, is the other end of a pair.
 */
import { Fault } from "../../base/fault.ts";
import type { Session } from "../../transport/session.ts";
import { endFault } from "../session-transport.ts";

export interface LineEvents {
  line(line: string): void;
  /** There is room again, after a `send` that returned false. */
  drained(): void;
  /** The last event, exactly once. */
  ended(fault: Fault): void;
}

export interface Lines {
  /** The longest message that the other end takes, bytes. */
  readonly messageBytes: number;
  /** Starts delivery. */
  open(events: LineEvents): void;
  /** One message, no newline in it. False: the next one waits for `drained`. */
  send(line: string): boolean;
  /** Idempotent; `ended` follows. */
  close(): void;
}

/** A bridge acknowledges a detach at once. */
const CLOSE_MS = 2_000;
/** In this process nothing limits a message but memory; the bridge's own limit serves as one. */
const PAIR_MESSAGE_BYTES = 16 * 1024 * 1024;
/** Lines that one end has sent before the other has begun to read. */
const UNREAD_MAX = 1_024;

/** A session that nobody has opened yet. `released`: it is over, and so is what was held for it. */
export function sessionLines(session: Session, released: () => void = () => {}): Lines {
  let closing: ReturnType<typeof setTimeout> | undefined;
  return {
    messageBytes: session.messageBytes,
    open(events) {
      session.open({
        line: (line) => events.line(line),
        drained: () => events.drained(),
        ended: (end) => {
          clearTimeout(closing);
          released();
          events.ended(endFault(end));
        },
      });
    },
    send: (line) => session.send(line),
    close() {
      if (closing) return;
      closing = setTimeout(() => session.destroy(), CLOSE_MS);
      session.detach();
    },
  };
}

/** Two ends in this process: what one sends the other hears, in a later turn of the microtask queue. */
export function linePair(): [Lines, Lines] {
  const near = new End();
  const far = new End();
  near.peer = far;
  far.peer = near;
  return [near, far];
}

class End implements Lines {
  readonly messageBytes = PAIR_MESSAGE_BYTES;
  peer: End | undefined;
  private events: LineEvents | undefined;
  private inbox: string[] = [];
  private scheduled = false;
  private over = false;

  open(events: LineEvents): void {
    this.events = events;
    this.schedule();
  }

  send(line: string): boolean {
    this.peer?.receive(line);
    return true;
  }

  close(): void {
    this.end(new Fault("cancelled", "the session with the server was closed"));
    this.peer?.end(new Fault("server-failed", "the server closed the session"));
  }

  private receive(line: string): void {
    if (this.over) return;
    this.inbox.push(line);
    if (!this.events && this.inbox.length > UNREAD_MAX) return this.close();
    this.schedule();
  }

  private schedule(): void {
    if (!this.events || this.scheduled || this.inbox.length === 0) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      const lines = this.inbox;
      this.inbox = [];
      for (const line of lines) if (!this.over) this.events?.line(line);
    });
  }

  private end(fault: Fault): void {
    if (this.over) return;
    this.over = true;
    queueMicrotask(() => this.events?.ended(fault));
  }
}
