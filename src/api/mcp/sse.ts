/**
 * HTTP+SSE, the transport of MCP before 2025-03-26: everything for the client comes on one stream of events; what it
 * sends, it posts to an address that the first event names. The session lives as long as the stream.
 */
import { LegacyConversation } from "../../gateway/clients/legacy.ts";
import type { Message } from "../../gateway/clients/message.ts";
import type { Outlet as LegOutlet, Outgoing } from "../../gateway/clients/outlet.ts";
import type { Gateways, Upstream } from "../../gateway/exchange.ts";
import type { Caller } from "./callers.ts";
import { CODE, Refusal } from "./refusal.ts";
import { Outlet } from "./outlet.ts";
import { SessionRegistry } from "./sessions.ts";
import type { Visit } from "./streamable.ts";
import { openTarget } from "./targets.ts";

/** Where messages are posted, whatever the stream leads to: the session says which. */
export const MESSAGES_PATH = "/messages";
/** All sessions of this transport count as one target, since their messages have one address. */
const TARGET = "sse";

export class EventSessions {
  private readonly sessions = new SessionRegistry<EventSession>();

  constructor(private readonly gateways: Gateways) {}

  /** Opens a session; its stream is the answer. */
  open({ request, caller, target, onDone }: Visit): Response {
    const upstream = openTarget(this.gateways, target, caller);
    const session = this.sessions.admit(caller, (id, onClose) => new EventSession(id, caller, upstream, onClose));
    request.signal.addEventListener("abort", () => void session.close(), { once: true });
    onDone();
    const response = session.response();
    // While the caller was looked up, of which nobody tells any more.
    if (request.signal.aborted) void session.close();
    return response;
  }

  post({ request, caller, onDone }: Visit, message: Message | Message[]): Response {
    if (Array.isArray(message)) throw new Refusal(400, CODE.request, "this transport has no batches");
    const id = new URL(request.url).searchParams.get("sessionId") ?? "";
    this.sessions.get(id, caller, TARGET).receive(message);
    onDone();
    return new Response("Accepted", { status: 202 });
  }

  drain(): void {
    this.sessions.drain();
  }

  close(): Promise<void> {
    return this.sessions.close();
  }
}

class EventSession implements LegOutlet {
  readonly target = TARGET;
  /** It has a stream as long as it lives. */
  readonly quiet = false;
  usedAt = performance.now();
  private readonly leg: LegacyConversation;
  private readonly outlet = new Outlet(() => void this.close());
  private draining = false;
  private closed = false;

  constructor(
    readonly id: string,
    public caller: Caller,
    upstream: Upstream,
    private readonly onClose: () => void,
  ) {
    this.leg = new LegacyConversation({ upstream, principal: caller.principal, outlet: this });
    caller.ended?.addEventListener("abort", this.revoked, { once: true });
    this.outlet.write(`event: endpoint\ndata: ${MESSAGES_PATH}?sessionId=${id}\n\n`);
  }

  response(): Response {
    return this.outlet.response();
  }

  receive(message: Message): void {
    this.leg.receive(message);
  }

  send({ text, kind }: Outgoing): void {
    this.outlet.write(`event: message\ndata: ${text}\n\n`);
    if (kind === "answer" && this.draining) this.drain();
  }

  renew(caller: Caller): void {
    this.caller.ended?.removeEventListener("abort", this.revoked);
    this.caller = caller;
    caller.ended?.addEventListener("abort", this.revoked, { once: true });
  }

  drain(): void {
    this.draining = true;
    if (this.leg.pending === 0) void this.close();
  }

  unanswered(): void {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.caller.ended?.removeEventListener("abort", this.revoked);
    this.outlet.end();
    this.onClose();
    await this.leg.close();
  }

  private readonly revoked = () => void this.close();
}
