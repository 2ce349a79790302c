/**
 * One connection to the manager's port: an attach line with server and token, then bytes to and from that server's
 * bridge, held back in both directions when the reader is slower than the writer. What is for the gateway has no bridge:
 * it is a guest of this process.
 */
import { type AttachFrame, formatFrame, LIMITS } from "../../bridge/wire.ts";
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { SessionRequest } from "../model/session-request.ts";
import type { SessionGrant } from "../model/views.ts";
import type { Report } from "../runtime/runtime.ts";
import type { LineWire } from "../transport/line-end.ts";
import { connect, LinkSocket } from "../transport/socket.ts";
import { ATTACH_HINT, isForGateway, isStranger, readAttach } from "./attach-line.ts";
import { type StallRules, StallWatch } from "./stall-watch.ts";

/** What the port needs of the manager. */
export interface Host {
  acquire(request: SessionRequest, kind: "tcp", report: Report, deadline: Deadline): Promise<SessionGrant>;
  release(session: string): void;
  /** Answers a client itself; absent where there is no gateway. Faults: `not-found`, `forbidden`. */
  receive?(attach: AttachFrame, wire: LineWire): Promise<Guest>;
}

/** The other end of a client that no bridge answers. */
export interface Guest {
  received(chunk: Uint8Array): void;
  drained(): void;
  /** The client sends no more. */
  ended(): void;
  /** It is gone. Idempotent. */
  closed(): void;
}

export interface VisitorRules extends StallRules {
  /** What clients have to know; undefined where whoever can connect may. */
  token: string | undefined;
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
/** The process behind a TCP client is not known. */
const NOBODY = { pid: 0, ppid: 0 };

type Stage = "attaching" | "opening" | "piping" | "over";

export class Visitor {
  readonly near = new LinkSocket();
  private far: LinkSocket | undefined;
  private guest: Guest | undefined;
  private readonly stall: StallWatch;
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
  ) {
    this.stall = new StallWatch(this.near, rules);
  }

  begin(): void {
    this.near.open({
      data: (chunk) => this.received(chunk),
      drained: () => this.drained(),
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
    this.guest?.ended();
  }

  /** No more from this client: the bridge answers what is in flight, then closes, and so do we. */
  drain(): void {
    if (this.stage !== "piping") return this.refuse(new Fault("unreachable", "the manager is ending"));
    this.near.pause();
    this.ended();
  }

  destroy(): void {
    this.near.destroy();
  }

  private received(chunk: Uint8Array): void {
    if (this.stage === "over") return;
    if (this.guest) return this.guest.received(chunk);
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
    const opening = isForGateway(frame) ? this.welcome(frame) : this.open(frame);
    opening.catch((error: unknown) => this.refuse(Fault.from(error)));
  }

  private async welcome(attach: AttachFrame): Promise<void> {
    if (!this.host.receive) throw new Fault("unsupported", "this manager has no gateway");
    const guest = await this.host.receive(attach, {
      write: (bytes) => {
        const room = this.near.write(bytes);
        if (!room) this.stall.begin();
        return room;
      },
      pause: () => this.near.pause(),
      resume: () => this.near.resume(),
      end: () => this.close(),
    });
    if (this.gone.signal.aborted) return guest.closed();
    this.guest = guest;
    this.stage = "piping";
    const parts = this.parts;
    this.parts = [];
    for (const part of parts) guest.received(part);
    this.near.resume();
    if (this.finishedSending) guest.ended();
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
    this.stall.begin();
  }

  private drained(): void {
    this.stall.end();
    this.far?.resume();
    this.guest?.drained();
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
    this.stall.end();
    clearTimeout(this.timer);
    this.stage = "over";
    this.leave();
    this.left();
  }

  private leave(): void {
    this.gone.abort();
    this.far?.destroy();
    this.guest?.closed();
    this.release();
  }

  private release(): void {
    if (this.session !== undefined) this.host.release(this.session);
    this.session = undefined;
  }
}
