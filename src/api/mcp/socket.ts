/** MCP over WebSocket: one message of JSON-RPC is one text message of the socket, of either era. */
import type { Fault } from "../../base/fault.ts";
import { errorText, readMessage, rpcErrorOf } from "../../gateway/clients/message.ts";
import { LineChannel } from "../../gateway/clients/lines.ts";
import type { Seal } from "../../gateway/clients/seal.ts";
import type { Gateways } from "../../gateway/exchange.ts";
import { MCP_BODY_BYTES_MAX } from "./body.ts";
import type { Caller } from "./callers.ts";
import type { Limits } from "./limits.ts";
import { openTarget, type Target, targetKey } from "./targets.ts";

export const SUBPROTOCOL = "mcp";
/** Written and not yet taken by the client; then the socket is closed. */
const UNREAD_BYTES_MAX = 4 * 1024 * 1024;
/** Messages of a client that does not read its answers, kept until it does; with more it is cut off. */
const WAITING_MAX = 64;
const WAITING_CHARS_MAX = 4 * MCP_BODY_BYTES_MAX;
/** Between pings; a client that answers none is gone. */
const IDLE_S = 60;
/** RFC 6455, 7.4.1. */
const CLOSE = { goingAway: 1001, unsupported: 1003, policy: 1008, tryLater: 1013 } as const;

export type Socket = Bun.ServerWebSocket<SocketChannel | undefined>;

/** What a socket has to do with the rest of Bun's server. */
export const SOCKET_HANDLER = {
  maxPayloadLength: MCP_BODY_BYTES_MAX,
  backpressureLimit: UNREAD_BYTES_MAX,
  closeOnBackpressureLimit: true,
  idleTimeout: IDLE_S,
  sendPings: true,
  open: (socket: Socket) => socket.data?.open(socket),
  message: (socket: Socket, text: string | Buffer) => socket.data?.message(text),
  drain: (socket: Socket) => socket.data?.drained(),
  close: (socket: Socket) => socket.data?.closed(),
};

export class SocketChannel {
  private readonly channel: LineChannel;
  private socket: Socket | undefined;
  private paused = false;
  private readonly waiting: string[] = [];
  private waitingChars = 0;

  constructor(
    gateways: Gateways,
    seal: Seal,
    private readonly caller: Caller,
    target: Target,
    private readonly limits: Limits,
    private readonly onClose: () => void,
  ) {
    const carrier = {
      write: (text: string) => (this.socket?.send(text) ?? 0) > 0,
      pause: () => void (this.paused = true),
      resume: () => this.resume(),
      end: () => this.end(),
    };
    const upstream = openTarget(gateways, target, caller);
    this.channel = new LineChannel({ upstream, seal, name: targetKey(target), principal: caller.principal, carrier });
  }

  open(socket: Socket): void {
    this.socket = socket;
    this.caller.ended?.addEventListener("abort", this.revoked, { once: true });
    if (this.caller.ended?.aborted) this.revoked();
  }

  message(text: string | Buffer): void {
    if (typeof text !== "string") return this.socket?.close(CLOSE.unsupported, "messages are text");
    const full = this.limits.take(this.caller.principal);
    if (full) return void this.socket?.send(refusalText(full, text));
    this.limits.charge(this.caller.principal, messagesIn(text) - 1);
    if (!this.paused) return this.channel.receive(text);
    this.waitingChars += text.length;
    if (this.waiting.push(text) > WAITING_MAX || this.waitingChars > WAITING_CHARS_MAX) {
      this.waiting.length = 0;
      this.socket?.close(CLOSE.tryLater, "answers are not read");
    }
  }

  drained(): void {
    this.channel.drained();
  }

  closed(): void {
    this.socket = undefined;
    this.caller.ended?.removeEventListener("abort", this.revoked);
    this.onClose();
    void this.channel.close();
  }

  /** What is being answered may end. */
  drain(): void {
    this.channel.finish();
  }

  end(): void {
    this.socket?.close(CLOSE.goingAway, "the manager ends");
  }

  private resume(): void {
    this.paused = false;
    while (!this.paused) {
      const text = this.waiting.shift();
      if (text === undefined) return;
      this.waitingChars -= text.length;
      this.channel.receive(text);
    }
  }

  private readonly revoked = () => this.socket?.close(CLOSE.policy, "the token is not valid any more");
}

/** A batch is as many as there are in it. */
function messagesIn(text: string): number {
  if (!/^\s*\[/.test(text)) return 1;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? Math.max(1, value.length) : 1;
  } catch {
    return 1;
  }
}

/** With the id of the request, if it is one. */
function refusalText(fault: Fault, text: string): string {
  const error = rpcErrorOf(fault);
  try {
    const message = readMessage(JSON.parse(text));
    return errorText("id" in message ? message.id : null, error);
  } catch {
    return errorText(null, error);
  }
}
