/**
 * One connection from its first byte: who is it, what is it for, then either a session's bytes or control frames. The
 * first line decides, and until it has come nothing else happens.
 */
import { isLoopback, isToken } from "./authenticate.ts";
import type { Bridge, Refusal, Waiting, Watcher } from "./bridge.ts";
import { Client, type ClientEvents, type ClientSocket } from "./client.ts";
import { attachedFrame, obey } from "./control.ts";
import type { LongLine } from "./lines.ts";
import { type Peer, Session } from "./session.ts";
import { Sieve } from "./sieve.ts";
import {
  type AttachFrame,
  type BridgeFrame,
  type DialerFrame,
  type ExitReport,
  LIMITS,
  formatFrame,
  isControl,
  parseDialerFrame,
} from "./wire.ts";

/** `new`: nothing was said yet; `opening`: the session's server is yet to be started; `over`: only the queue goes out. */
type Stage = "new" | "opening" | "session" | "control" | "over";

export class Connection implements Peer, Watcher, Waiting, ClientEvents {
  private stage: Stage = "new";
  /** Understands control frames; a plain client does not. */
  private full = false;
  private session: Session | undefined;
  private readonly client: Client;
  private readonly sieve: Sieve;
  private ackedMessages = 0;
  private unackedBytes = 0;
  /** Of the wait for authentication, then of that for configuration. */
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    socket: ClientSocket,
    private readonly bridge: Bridge,
  ) {
    this.client = new Client(
      socket,
      () => this.session?.peerEmpty(),
      () => bridge.say(`a client has read nothing for ${LIMITS.stalledMs} ms while its queue is full: it is cut`),
    );
    this.sieve = new Sieve(
      bridge.options.tokenSha256 ? LIMITS.attachBytes : bridge.messageBytes,
      (bytes, start, end, clean) => this.line(bytes, start, end, clean),
      (range) => this.session?.write(range),
      (line) => this.longLine(line),
    );
    this.timer = setTimeout(() => {
      this.refuse({ kind: "unauthenticated", message: `no attach came within ${LIMITS.authenticateMs} ms` });
    }, LIMITS.authenticateMs);
  }

  // --- what the socket tells ---

  data(chunk: Uint8Array): void {
    if (this.stage === "over") return;
    this.unackedBytes += chunk.length;
    this.sieve.push(chunk);
    this.session?.flush();
    if (this.stage === "opening") this.start();
    this.acknowledge(false);
  }

  drain(): void {
    this.client.drain();
  }

  /** The client sends nothing more; it may still read. */
  end(): void {
    this.client.receivedEnd();
    if (this.stage === "over") return;
    this.sieve.end();
    this.session?.flush();
    if (this.stage === "opening") this.start();
    if (!this.session) return this.close();
    // A client that is gone altogether looks the same from here, until something is sent to it: then it is reset.
    this.acknowledge(true);
    this.session.endOfClient();
  }

  closed(): void {
    this.client.closed();
    this.detach();
  }

  // --- what the session asks for ---

  get queuedBytes(): number {
    return this.client.queuedBytes;
  }

  write(bytes: Uint8Array): void {
    this.client.write(bytes);
  }

  hold(): void {
    this.client.hold();
  }

  release(): void {
    if (this.stage !== "opening") this.client.release();
  }

  finish(lastLines: string, report: ExitReport): void {
    this.write(encoder.encode(lastLines));
    if (this.full) this.send({ link: "exit", ...report });
    this.session = undefined;
    this.close();
  }

  send(frame: BridgeFrame): void {
    this.write(encoder.encode(formatFrame(frame)));
  }

  // --- lines ---

  /** Whether the line is to reach the session's server. */
  private line(bytes: Uint8Array, start: number, end: number, clean: boolean): boolean {
    if (this.stage === "over") return false;
    if (isControl(bytes, start, end)) {
      if (end - start > LIMITS.controlBytes) this.longFrame();
      else this.frame(decoder.decode(bytes.subarray(start, end)));
      return false;
    }
    if (!this.session && !this.openPlain(bytes, start, end)) return false;
    const { session } = this;
    if (session) session.received++;
    return session?.traffic.fromClient(bytes, start, end, clean) ?? false;
  }

  private longLine(line: LongLine): void {
    if (isControl(line.head, 0, line.head.length)) return this.longFrame();
    const { session } = this;
    if (!session) return this.refuse({ kind: "too-large", message: "the first line is too long" });
    if (line.ended) session.received++;
    session.traffic.longFromClient(line);
  }

  private longFrame(): void {
    this.refuse({ kind: "too-large", message: `a control frame is longer than ${LIMITS.controlBytes} bytes` });
  }

  /** Where no token is needed, JSON-RPC may come at once. */
  private openPlain(bytes: Uint8Array, start: number, end: number): boolean {
    if (bytes.subarray(start, end).every((byte) => byte <= 0x20)) return false;
    if (this.stage === "control") {
      this.refuse({ kind: "usage", message: "a control connection carries no JSON-RPC" });
    } else if (this.bridge.options.tokenSha256) {
      this.refuse({ kind: "unauthenticated", message: "the first line has to be an attach frame with the token" });
    } else this.openSession(undefined);
    return this.session !== undefined;
  }

  private frame(text: string): void {
    const frame = parseDialerFrame(text);
    if (typeof frame === "string") return this.refuse({ kind: "usage", message: frame });
    if (this.stage === "new") this.firstFrame(frame);
    else if (this.stage === "control") this.controlFrame(frame);
    else this.sessionFrame(frame);
  }

  private firstFrame(frame: DialerFrame): void {
    if (frame.link === "health" && isLoopback(this.client.address)) {
      this.send({ link: "health", ...this.bridge.health() });
      return this.close();
    }
    const { tokenSha256 } = this.bridge.options;
    if (frame.link !== "attach") return this.refuse({ kind: "unauthenticated", message: "attach comes first" });
    if (tokenSha256 && !isToken(frame.token, tokenSha256)) {
      return this.refuse({ kind: "unauthenticated", message: "the token is wrong or missing" });
    }
    if (frame.version === 0) return this.refuse({ kind: "unsupported", message: "there is no wire version 0" });
    this.full = frame.version !== undefined;
    if (frame.mode === "control") this.openControl();
    else this.openSession(frame);
  }

  private sessionFrame(frame: DialerFrame): void {
    if (frame.link === "ack" && this.session) this.session.acknowledged = frame.received;
    else if (frame.link === "health") this.send({ link: "health", ...this.bridge.health() });
    else if (frame.link === "detach") this.close();
    else this.refuse({ kind: "usage", message: `a session connection takes no ${frame.link} frame here` });
  }

  private controlFrame(frame: DialerFrame): void {
    if (frame.link === "detach") return this.close();
    const refusal = obey(this.bridge, frame, (answer) => this.send(answer));
    if (refusal) this.refuse(refusal);
  }

  // --- opening and ending ---

  private openControl(): void {
    clearTimeout(this.timer);
    this.stage = "control";
    this.full = true;
    this.sieve.setLimit(LIMITS.controlBytes);
    this.bridge.watchers.add(this);
    this.send(attachedFrame(this.bridge, undefined));
  }

  private openSession(frame: AttachFrame | undefined): void {
    const session = this.bridge.open(frame?.session, this);
    if (!(session instanceof Session)) return this.refuse(session);
    clearTimeout(this.timer);
    this.session = session;
    this.stage = "opening";
    this.sieve.setLimit(this.bridge.messageBytes);
  }

  /** Starts the server, after `configure` where the bridge waits for that. */
  private start(): void {
    const { session, bridge } = this;
    if (!session || bridge.waiting.has(this)) return;
    if (!bridge.configured) {
      this.hold();
      bridge.waiting.add(this);
      this.timer = setTimeout(() => {
        this.refuse({ kind: "timeout", message: `no configure came within ${LIMITS.configureMs} ms` });
      }, LIMITS.configureMs);
      return;
    }
    clearTimeout(this.timer);
    this.stage = "session";
    try {
      // Before the server can say anything; if it cannot be started, an error frame follows.
      if (this.full) this.send(attachedFrame(bridge, session));
      bridge.start(session);
      this.release();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.write(encoder.encode(session.failed(message)));
      this.refuse({ kind: "server-failed", message });
    }
  }

  configured(): void {
    this.bridge.waiting.delete(this);
    this.start();
  }

  /** Tells a full dialler what has come. */
  private acknowledge(now: boolean): void {
    const { session } = this;
    if (!session || !this.full || this.stage !== "session") return;
    const messages = session.received - this.ackedMessages;
    if (!now && messages < LIMITS.ackMessages && this.unackedBytes < LIMITS.ackBytes) return;
    this.ackedMessages = session.received;
    this.unackedBytes = 0;
    this.send({ link: "ack", received: session.received });
  }

  /** The bridge ends. Sessions have had their last words already. */
  leave(): void {
    if (this.stage === "new" || this.stage === "opening") {
      this.refuse({ kind: "unreachable", message: "the bridge is stopping" });
    } else this.close();
  }

  terminate(): void {
    this.client.terminate();
  }

  /** Says why, then ends the connection. */
  private refuse(refusal: Refusal): void {
    if (this.stage === "over") return;
    this.send({ link: "error", ...refusal });
    this.detach();
    this.close();
  }

  private detach(): void {
    const { session, bridge } = this;
    this.stage = "over";
    this.session = undefined;
    clearTimeout(this.timer);
    bridge.waiting.delete(this);
    bridge.watchers.delete(this);
    if (session) bridge.leave(session);
  }

  private close(): void {
    this.detach();
    this.client.close();
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
