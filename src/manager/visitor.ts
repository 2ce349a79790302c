/**
 * One connection to the manager's TCP port: an attach line with server and token, then bytes to and from that server's
 * bridge, held back in both directions when the reader is slower than the writer.
 */
import { type AttachFrame, formatFrame, LIMITS, parseBridgeFrame, parseDialerFrame } from "../../bridge/wire.ts";
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { SessionRequest } from "../model/session-request.ts";
import type { SessionGrant } from "../model/views.ts";
import type { Report } from "../runtime/runtime.ts";
import { connect, LinkSocket } from "../transport/socket.ts";
import { sameToken } from "./tokens.ts";
import type { Slow, WaitingRoom } from "./waiting-room.ts";

/** What the port needs of the manager. */
export interface Host {
  acquire(request: SessionRequest, kind: "tcp", report: Report, deadline: Deadline): Promise<SessionGrant>;
  release(session: string): void;
}

export interface VisitorRules {
  /** What clients have to know. */
  token: string;
  /** A client that takes nothing for this long while there is something for it is cut. */
  stalledMs: number;
  /** Shared by all visitors. */
  room: WaitingRoom;
}

const NEWLINE = 0x0a;
/** A start may have to fetch an image first. */
const START_MS = 600_000;
const CONNECT_MS = 2_000;
/** Until it is noticed that a server is gone, and another one has its address. */
const DIAL_MS = 10_000;
const RETRY_MS = 100;
/** What a client has sent to a bridge that may be another server's; one that refuses does so at once. */
const KEPT_BYTES_MAX = 64 * 1024;
const KEPT_MS = 2_000;
const ERROR_FRAME = Buffer.from('{"link":"error"');
/** The process behind a TCP client is not known. */
const NOBODY = { pid: 0, ppid: 0 };

type Stage = "attaching" | "opening" | "piping" | "over";

export class Visitor implements Slow {
  readonly near = new LinkSocket();
  private far: LinkSocket | undefined;
  private stage: Stage = "attaching";
  private parts: Uint8Array[] = [];
  private bytes = 0;
  private session: string | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly gone = new AbortController();
  private finishedSending = false;
  private patience: Deadline | undefined;
  /** What the client has said since the bridge was dialled, until that has said anything. */
  private kept: { parts: Uint8Array[]; bytes: number } | undefined;

  constructor(
    private readonly host: Host,
    private readonly rules: VisitorRules,
    /** Called once, when nothing is left of this connection. */
    private readonly left: () => void,
  ) {}

  begin(): void {
    this.near.open({
      data: (chunk) => this.received(chunk),
      drained: () => this.resumeFar(),
      closed: () => this.nearClosed(),
    });
    const message = `no attach line came within ${LIMITS.authenticateMs} ms`;
    this.timer = setTimeout(() => this.refuse(new Fault("timeout", message, ATTACH_HINT)), LIMITS.authenticateMs);
  }

  /** Says why and closes. */
  refuse(fault: Fault): void {
    if (this.stage === "over") return;
    const { kind, message, hint } = fault;
    this.near.resume();
    this.near.write(
      Buffer.from(formatFrame({ link: "error", kind, message, ...(hint === undefined ? {} : { hint }) })),
    );
    this.close();
  }

  /** The client sends nothing more; what it has asked for is still answered. */
  ended(): void {
    if (this.stage === "attaching") return this.close();
    this.finishedSending = true;
    this.far?.end();
  }

  /** No more from this client: the bridge answers what is in flight, then closes, and so do we. */
  drain(): void {
    if (this.stage !== "piping") return this.refuse(new Fault("unreachable", "the manager is ending"));
    this.near.pause();
    this.ended();
  }

  get heldBytes(): number {
    return this.near.queuedBytes;
  }

  destroy(): void {
    this.near.destroy();
  }

  private received(chunk: Uint8Array): void {
    if (this.stage === "over") return;
    if (this.far) {
      this.keep(chunk);
      if (!this.far.write(chunk)) this.near.pause();
      return;
    }
    this.parts.push(chunk);
    this.bytes += chunk.byteLength;
    if (this.stage !== "attaching") return;
    const newline = chunk.indexOf(NEWLINE);
    if (newline >= 0) return this.attach(this.bytes - chunk.byteLength + newline);
    if (this.bytes > LIMITS.controlBytes) {
      this.refuse(new Fault("too-large", `the first line is longer than ${LIMITS.controlBytes} bytes`, ATTACH_HINT));
    }
  }

  private attach(lineBytes: number): void {
    const all = Buffer.concat(this.parts);
    this.parts = [all.subarray(lineBytes + 1)];
    const frame = readAttach(all.toString("utf8", 0, lineBytes), this.rules.token);
    if (frame instanceof Fault) return this.refuse(frame);
    clearTimeout(this.timer);
    this.stage = "opening";
    // What the client goes on to say waits in its own kernel, not here.
    this.near.pause();
    this.open(frame).catch((error: unknown) => this.refuse(Fault.from(error)));
  }

  private async open(attach: AttachFrame): Promise<void> {
    const { server = "" } = attach;
    const deadline = Deadline.in(START_MS, this.gone.signal);
    const { grant, far } = await this.dial(server, deadline);
    if (this.gone.signal.aborted) return far.destroy();
    const session = attach.session ?? grant.session;
    far.write(Buffer.from(formatFrame({ ...attach, session, token: grant.token })));
    const kept = (this.kept = { parts: [], bytes: 0 });
    for (const part of this.parts) {
      this.keep(part);
      far.write(part);
    }
    this.parts = [];
    setTimeout(() => {
      if (this.kept === kept) this.kept = undefined;
    }, KEPT_MS);
    this.stage = "piping";
    this.far = far;
    far.open({
      data: (chunk) => this.fromFar(far, attach, chunk),
      drained: () => this.near.resume(),
      closed: () => this.close(),
    });
    far.resume();
    this.near.resume();
    if (this.finishedSending) far.end();
  }

  /** A server whose container was killed this moment has an address, but nobody there: it is started anew. */
  private async dial(server: string, deadline: Deadline): Promise<{ grant: SessionGrant; far: LinkSocket }> {
    const patience = (this.patience ??= deadline.within(DIAL_MS));
    for (;;) {
      const grant = await this.host.acquire({ server, ...NOBODY }, "tcp", () => {}, deadline);
      this.session = grant.session;
      if (this.gone.signal.aborted) throw new Fault("cancelled", "the client has gone");
      try {
        return { grant, far: await connect(grant.addresses, deadline.within(CONNECT_MS)) };
      } catch (error) {
        if (patience.passed) throw error;
        this.release();
        await sleep(RETRY_MS, this.gone.signal);
      }
    }
  }

  private keep(chunk: Uint8Array): void {
    if (!this.kept) return;
    this.kept.parts.push(chunk);
    this.kept.bytes += chunk.byteLength;
    if (this.kept.bytes > KEPT_BYTES_MAX) this.kept = undefined;
  }

  private fromFar(far: LinkSocket, attach: AttachFrame, chunk: Uint8Array): void {
    const { kept } = this;
    this.kept = undefined;
    if (kept && !this.patience?.passed && isStranger(chunk)) return this.openAgain(far, attach, kept.parts);
    if (!this.near.write(chunk)) this.holdBack(far);
  }

  /** By now another server has the address: it is asked for again, with all that the client has said. */
  private openAgain(far: LinkSocket, attach: AttachFrame, parts: Uint8Array[]): void {
    far.open({ data: () => {}, drained: () => {}, closed: () => {} });
    far.destroy();
    this.far = undefined;
    this.stage = "opening";
    this.parts = parts;
    this.near.pause();
    this.release();
    sleep(RETRY_MS, this.gone.signal)
      .then(() => this.open(attach))
      .catch((error: unknown) => this.refuse(Fault.from(error)));
  }

  /** Nothing more is read from the bridge until the client takes what there is; one that takes nothing is cut. */
  private holdBack(far: LinkSocket): void {
    far.pause();
    this.rules.room.enter(this);
    let before = this.near.queuedBytes;
    clearTimeout(this.timer);
    this.timer = setInterval(() => {
      const now = this.near.queuedBytes;
      if (now === 0) clearTimeout(this.timer);
      else if (now === before) this.destroy();
      before = now;
    }, this.rules.stalledMs);
  }

  private resumeFar(): void {
    this.rules.room.leave(this);
    this.far?.resume();
  }

  /** Nothing more will be sent: what is queued goes out, then the client has to close, too. */
  private close(): void {
    if (this.stage === "over") return;
    this.stage = "over";
    clearTimeout(this.timer);
    this.parts = [];
    this.near.end();
    this.near.resume();
    this.timer = setTimeout(() => this.near.destroy(), this.rules.stalledMs);
    this.leave();
  }

  private nearClosed(): void {
    this.rules.room.leave(this);
    clearTimeout(this.timer);
    this.stage = "over";
    this.leave();
    this.left();
  }

  private leave(): void {
    this.gone.abort();
    this.far?.destroy();
    this.release();
  }

  private release(): void {
    if (this.session !== undefined) this.host.release(this.session);
    this.session = undefined;
  }
}

const ATTACH_HINT = {
  hint: 'The first line is {"link":"attach","server":"NAME","token":"…"}; linkspan token prints it.',
};

/** The token is right: who refuses it is another server's bridge. */
function isStranger(first: Uint8Array): boolean {
  const bytes = Buffer.from(first.buffer, first.byteOffset, first.byteLength);
  if (!bytes.subarray(0, ERROR_FRAME.byteLength).equals(ERROR_FRAME)) return false;
  const [line = ""] = bytes.toString().split("\n", 1);
  const frame = parseBridgeFrame(line);
  return typeof frame !== "string" && frame.link === "error" && frame.kind === "unauthenticated";
}

function readAttach(line: string, token: string): AttachFrame | Fault {
  const frame = parseDialerFrame(line.replace(/\r$/, ""));
  if (typeof frame === "string" || frame.link !== "attach") {
    const why = typeof frame === "string" ? frame : `the first frame is ${frame.link}`;
    return new Fault("unauthenticated", `attach comes first: ${why}`, ATTACH_HINT);
  }
  if (!sameToken(frame.token ?? "", token)) return new Fault("unauthenticated", "the token is wrong", ATTACH_HINT);
  if (frame.mode !== "session") return new Fault("forbidden", "this port has sessions only");
  if (!frame.server) return new Fault("usage", "attach names no server", ATTACH_HINT);
  return frame;
}
