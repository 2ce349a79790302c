/**
 * Dials a bridge and attaches: connect, `attach` with token and counts, `attached` or a refusal. What comes back is an
 * authenticated connection that is paused until its owner opens it. Sessions and control connections build on it.
 */
import { formatFrame, LIMITS, parseBridgeFrame, WIRE_VERSION, type BridgeFrame } from "../../bridge/wire.ts";
import type { Deadline } from "../base/deadline.ts";
import { Fault, isFaultKind } from "../base/fault.ts";
import { Inbound } from "./inbound.ts";
import { connect, type Endpoint, type LinkSocket } from "./socket.ts";

export type AttachedFrame = Extract<BridgeFrame, { link: "attached" }>;

export interface DialOptions {
  addresses: readonly Endpoint[];
  /** Absent only for a bridge that was started without one. */
  token?: string | undefined;
  mode: "session" | "control";
  session?: string | undefined;
  /** To go on with that session: JSON-RPC messages received on its earlier connections. */
  received?: number | undefined;
  /** At the manager's port instead of a bridge: what is wanted of its gateway. */
  wanted?: Wanted | undefined;
}

/** All servers as one (`*`), those of a group, or one server for a client of another era. */
export type Wanted = { server: "*" } | { group: string } | { server: string; translate: true };

export interface ConnectionEvents {
  payload(range: Uint8Array): void;
  frame(frame: BridgeFrame): void;
  drained(): void;
  /**
   * The last event. The fault says what broke; absent when the connection simply ended. `final`: the bridge gave the
   * connection up with a reason, or broke the protocol; another one would fare no better.
   */
  closed(fault: Fault | undefined, final: boolean): void;
}

export type Dial = (options: DialOptions, deadline: Deadline) => Promise<Connection>;

/** The connection was made and ended without an answer to `attach`: whether the bridge has heard of it is not known. */
export class Unanswered extends Fault {}

/**
 * Faults: `unreachable` (nobody accepts, or, as `Unanswered`, the connection ends early), `timeout`, and whatever kind the bridge gives
 * for its refusal (`unauthenticated`, `exhausted`, …).
 */
export const dial: Dial = async (options, deadline) =>
  await attach(await connect(options.addresses, deadline), options, deadline);

/** The second half of `dial`, over a connection that was just made. */
export async function attach(socket: LinkSocket, options: DialOptions, deadline: Deadline): Promise<Connection> {
  const connection = new Connection(socket);
  try {
    const attached = connection.handshake({
      link: "attach",
      version: WIRE_VERSION,
      ...(options.token === undefined ? {} : { token: options.token }),
      mode: options.mode,
      ...(options.session === undefined ? {} : { session: options.session }),
      ...(options.received === undefined ? {} : { received: options.received }),
      ...options.wanted,
    });
    await deadline.race("attaching to the bridge", attached);
    return connection;
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

export class Connection {
  private readonly inbound: Inbound;
  private events: ConnectionEvents | undefined;
  /** Frames and payload that came with or right behind `attached`. */
  private waiting: Array<Uint8Array | BridgeFrame> = [];
  private over = false;
  private fault: Fault | undefined;
  private final = false;
  private frame: AttachedFrame | undefined;
  private settle: ((outcome: AttachedFrame | Fault) => void) | undefined;

  constructor(private readonly socket: LinkSocket) {
    this.inbound = new Inbound({
      payload: (range) => this.payload(range),
      control: (line) => this.control(line),
      overlong: () => this.fail(`a control frame is longer than ${LIMITS.controlBytes} bytes`),
    });
  }

  /** Resolves with the bridge's `attached`; afterwards the connection is paused. */
  handshake(attach: Parameters<typeof formatFrame>[0]): Promise<AttachedFrame> {
    return new Promise((resolve, reject) => {
      this.settle = (outcome) => {
        this.settle = undefined;
        if (outcome instanceof Fault) return reject(outcome);
        this.socket.pause();
        resolve(outcome);
      };
      this.socket.open({
        data: (chunk) => this.inbound.push(chunk),
        drained: () => this.events?.drained(),
        closed: (error) => this.closed(error),
      });
      this.socket.write(Buffer.from(formatFrame(attach)));
    });
  }

  get attached(): AttachedFrame {
    if (!this.frame) throw new Fault("internal", "the connection is used before it is attached");
    return this.frame;
  }

  /** JSON-RPC messages received on this connection. */
  get received(): number {
    return this.inbound.messages;
  }

  get queuedBytes(): number {
    return this.socket.queuedBytes;
  }

  get ended(): boolean {
    return this.over;
  }

  /** Starts delivery; what came already is delivered at once. */
  open(events: ConnectionEvents): void {
    this.events = events;
    const waiting = this.waiting;
    this.waiting = [];
    // An end from now on reports itself; one that came earlier has had nobody to tell.
    const ended = this.over;
    for (const item of waiting) {
      if (item instanceof Uint8Array) events.payload(item);
      else events.frame(item);
    }
    if (ended) events.closed(this.fault, this.final);
    else this.socket.resume();
  }

  /** True while the writer may go on; after false it waits for `drained`. */
  write(bytes: Uint8Array): boolean {
    return this.socket.write(bytes);
  }

  send(frame: Parameters<typeof formatFrame>[0]): boolean {
    return this.socket.write(Buffer.from(formatFrame(frame)));
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Half-close: nothing more will be sent, what the bridge still has to say is delivered. */
  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private payload(range: Uint8Array): void {
    if (this.over) return;
    if (this.frame === undefined) this.fail("the bridge sent a message before it answered attach");
    else if (this.events) this.events.payload(range);
    else this.waiting.push(range);
  }

  private control(line: string): void {
    if (this.over) return;
    const frame = parseBridgeFrame(line);
    if (typeof frame === "string") return this.fail(`the bridge broke the protocol: ${frame}`);
    if (this.frame === undefined) return this.answered(frame);
    if (frame.link === "error") {
      this.fault = bridgeFault(frame);
      this.final = true;
    }
    if (this.events) this.events.frame(frame);
    else this.waiting.push(frame);
  }

  /** The first frame decides whether we are in. */
  private answered(frame: BridgeFrame): void {
    if (frame.link === "attached") {
      this.frame = frame;
      this.settle?.(frame);
    } else if (frame.link === "error") {
      this.settle?.(bridgeFault(frame));
    } else {
      this.fail(`the bridge answered attach with ${frame.link}`);
    }
  }

  private fail(message: string): void {
    this.fault = new Fault("unreachable", message);
    this.final = true;
    this.socket.destroy();
  }

  private closed(error: Error | undefined): void {
    if (this.over) return;
    this.over = true;
    if (error) {
      this.fault ??= new Fault("unreachable", `the connection to the server broke: ${error.message}`, { cause: error });
    }
    if (this.final && this.fault) this.settle?.(this.fault);
    else this.settle?.(new Unanswered("unreachable", this.fault?.message ?? CLOSED_EARLY, { cause: error }));
    this.events?.closed(this.fault, this.final);
  }
}

const CLOSED_EARLY = "the bridge closed the connection before it attached";

/** The bridge's `error` frame as a fault; a kind that is not on our list comes from a bridge of another version. */
function bridgeFault(frame: Extract<BridgeFrame, { link: "error" }>): Fault {
  const details = frame.hint === undefined ? {} : { hint: frame.hint };
  return new Fault(isFaultKind(frame.kind) ? frame.kind : "server-failed", frame.message, details);
}
