/**
 * One connection from its first byte: who is it, what is it for, then either a session's bytes or control frames. The
 * first line decides, and until it has come nothing else happens.
 */
import { Acks } from "./acks.ts";
import { isLoopback } from "./authenticate.ts";
import type { Bridge, Refusal, Waiting, Watcher } from "./bridge.ts";
import type { ClientEvents, ClientSocket } from "./client.ts";
import { ClientLink } from "./client-link.ts";
import { attachedFrame, isFarewell, obey, refusalOf, serve } from "./control.ts";
import { Inlet, type InletEvents } from "./inlet.ts";
import type { LongLine } from "./lines.ts";
import type { Peer } from "./peer.ts";
import { Session } from "./session.ts";
import { type AttachFrame, type DialerFrame, type ExitReport, LIMITS, parseDialerFrame } from "./wire.ts";

/**
 * `new`: nothing was said yet; `opening`: the session's server is yet to be started; `finished`: the server has ended, the
 * client has yet to say that it knows; `over`: only the queue goes out.
 */
type Stage = "new" | "opening" | "session" | "control" | "finished" | "over";

export class Connection extends ClientLink implements Peer, Watcher, Waiting, ClientEvents, InletEvents {
  private stage: Stage = "new";
  /** Understands control frames; a plain client does not. */
  private full = false;
  private session: Session | undefined;
  private readonly inlet: Inlet;
  private acks: Acks | undefined;
  /** Of the wait for authentication, then of that for configuration. */
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: ClientSocket, bridge: Bridge) {
    super(socket, bridge);
    this.inlet = new Inlet(bridge.options.tokenSha256 ? LIMITS.attachBytes : bridge.messageBytes, this);
    this.timer = setTimeout(() => {
      // Not a matter of the token: whoever was only slow may try again.
      this.refuse({ kind: "timeout", message: `no attach came within ${LIMITS.authenticateMs} ms` });
    }, LIMITS.authenticateMs);
  }

  // --- what the socket tells ---

  data(chunk: Uint8Array): void {
    if (this.stage === "over") return;
    this.inlet.push(chunk);
    if (this.stage === "session" || this.stage === "control") this.bridge.heard();
    this.session?.flush();
    if (this.stage === "opening") this.start();
    if (this.acks && this.session) this.acks.note(this.session.received, chunk.length);
  }

  /** The client sends nothing more; it may still read. */
  end(): void {
    this.client.receivedEnd();
    if (this.stage === "over" || this.stage === "finished") return;
    if (this.replaceable) return this.broken();
    this.inlet.end();
    // What was left without its newline was an attach.
    if (this.replaceable) return this.broken();
    this.session?.flush();
    if (this.stage === "opening") this.start();
    if (!this.session) return this.close();
    // A client that is gone altogether looks the same from here, until something is sent to it: then it is reset.
    this.acks?.flush();
    this.session.endOfClient();
  }

  /** Without a word before, the end of a connection that can be replaced is a break; half a line comes again. */
  private get replaceable(): boolean {
    return this.session?.replay !== undefined && !this.session.clientFinished;
  }

  closed(): void {
    const session = this.letGo();
    this.client.closed();
    if (session) this.bridge.interrupted(session);
  }

  // --- what the session asks for ---

  protected emptied(): void {
    this.session?.peerEmpty();
  }

  release(): void {
    if (this.stage !== "opening") this.client.release();
  }

  finish(report: ExitReport): void {
    // What has not come by now was never given to the server: the dialler may give it to another one.
    this.acks?.flush();
    if (this.full) this.send({ link: "exit", ...report });
    if (this.session?.replay) {
      this.acks?.stop();
      this.acks = undefined;
      this.stage = "finished";
      return this.client.close();
    }
    this.session = undefined;
    this.close();
  }

  replaced(): void {
    this.session = undefined;
    this.refuse({ kind: "conflict", message: "another connection has taken the session over" });
  }

  // --- lines ---

  line(bytes: Uint8Array, start: number, end: number, clean: boolean): boolean {
    if (this.stage === "over" || this.stage === "finished") return false;
    if (!this.session && !this.openPlain(bytes, start, end)) return false;
    const { session } = this;
    if (session) session.received++;
    return session?.traffic.fromClient(bytes, start, end, clean) ?? false;
  }

  pass(range: Uint8Array): void {
    this.session?.write(range);
  }

  longLine(line: LongLine): void {
    const { session } = this;
    if (!session) return this.refuse({ kind: "too-large", message: "the first line is too long" });
    if (line.ended) session.received++;
    session.traffic.longFromClient(line);
  }

  longFrame(): void {
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

  frame(text: string): void {
    if (this.stage === "over") return;
    const frame = parseDialerFrame(text);
    if (typeof frame === "string") return this.refuse({ kind: "usage", message: frame });
    if (this.stage === "new") this.firstFrame(frame);
    else if (this.stage === "control") this.controlFrame(frame);
    else if (this.stage !== "finished") this.sessionFrame(frame);
    else if (isFarewell(this.session, frame)) this.detach();
  }

  private firstFrame(frame: DialerFrame): void {
    if (frame.link === "health" && isLoopback(this.client.address)) {
      this.send({ link: "health", ...this.bridge.health() });
      return this.close();
    }
    const refusal = refusalOf(frame, this.bridge.options.tokenSha256);
    if (refusal || frame.link !== "attach") return this.refuse(refusal ?? { kind: "usage", message: "no attach" });
    this.full = frame.version !== undefined;
    if (frame.mode === "control") this.openControl();
    else if (frame.received === undefined || !this.full) this.openSession(frame);
    else this.resumeSession(frame.session, frame.received);
  }

  private sessionFrame(frame: DialerFrame): void {
    const outcome = serve(this.bridge, this.session, frame, (answer) => this.send(answer));
    if (outcome === "detach") this.close();
    else if (outcome) this.refuse(outcome);
  }

  private controlFrame(frame: DialerFrame): void {
    if (frame.link === "detach" && frame.session === undefined) return this.close();
    const refusal = obey(this.bridge, frame, (answer) => this.send(answer));
    if (refusal) this.refuse(refusal);
  }

  // --- opening and ending ---

  private openControl(): void {
    clearTimeout(this.timer);
    this.stage = "control";
    this.full = true;
    this.inlet.setLimit(LIMITS.controlBytes);
    this.bridge.watchers.add(this);
    this.send(attachedFrame(this.bridge, undefined));
  }

  private openSession(frame: AttachFrame | undefined): void {
    const session = this.bridge.open(frame, this);
    if (!(session instanceof Session)) return this.refuse(session);
    clearTimeout(this.timer);
    this.session = session;
    this.stage = "opening";
    this.inlet.setLimit(this.bridge.messageBytes);
  }

  private resumeSession(id: string | undefined, received: number): void {
    const session = this.bridge.resumable(id, received);
    if (!(session instanceof Session)) return this.refuse(session);
    clearTimeout(this.timer);
    this.session = session;
    this.stage = "session";
    this.inlet.setLimit(this.bridge.messageBytes);
    this.send(attachedFrame(this.bridge, session, true));
    this.acks = this.acksOf(session);
    session.resume(this, received);
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
      if (this.full) {
        this.send(attachedFrame(bridge, session));
        this.acks = this.acksOf(session);
      }
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

  private acksOf(session: Session): Acks {
    return new Acks((received) => this.send({ link: "ack", received }), session.received);
  }

  /** The bridge ends. Sessions have had their last words already. */
  leave(): void {
    if (this.stage === "new" || this.stage === "opening") {
      this.refuse({ kind: "unreachable", message: "the bridge is stopping" });
    } else this.close();
  }

  /** Says why, then ends the connection. */
  private refuse(refusal: Refusal): void {
    if (this.stage === "over") return;
    this.send({ link: "error", ...refusal });
    this.detach();
    this.close();
  }

  private detach(): void {
    const session = this.letGo();
    if (session) this.bridge.leave(session);
  }

  /** The connection ended without a word: its session may go on without it. */
  private broken(): void {
    const session = this.letGo();
    if (session) this.bridge.interrupted(session);
    this.client.close();
  }

  private letGo(): Session | undefined {
    const { session, bridge } = this;
    this.stage = "over";
    this.session = undefined;
    this.acks?.stop();
    clearTimeout(this.timer);
    bridge.waiting.delete(this);
    bridge.watchers.delete(this);
    return session;
  }

  private close(): void {
    this.detach();
    this.client.close();
  }
}

const encoder = new TextEncoder();
