/** Streamable HTTP of both eras on one path: POST by the message's era; GET and DELETE are of legacy sessions. */
import { Fault } from "../../base/fault.ts";
import type { Gateways } from "../../gateway/exchange.ts";
import type { Message } from "../../gateway/clients/message.ts";
import { ModernDoor } from "../../gateway/clients/modern.ts";
import type { Seal } from "../../gateway/clients/seal.ts";
import { LEGACY_VERSIONS } from "../../gateway/clients/meta.ts";
import { BATCH_VERSION, isModern } from "./headers.ts";
import type { Caller } from "./callers.ts";
import { answerModern } from "./modern.ts";
import { ParamHeaders } from "./param-headers.ts";
import { CODE, Refusal } from "./refusal.ts";
import { HttpSession } from "./session.ts";
import { SessionRegistry } from "./sessions.ts";
import { openTarget, type Target, targetKey } from "./targets.ts";

/** Doors of the modern era: one for each path and scope; beyond so many the one not used for longest makes room. */
const DOORS_MAX = 256;

export interface StreamableOptions {
  gateways: Gateways;
  seal: Seal;
  /** Of one principal at the same time. */
  inFlightMax: number;
  /** Aborts when the manager ends. */
  ending: AbortSignal;
}

/** A request that was let in. */
export interface Visit {
  request: Request;
  caller: Caller;
  target: Target;
  /** Called once, when nothing of it goes on any more. */
  onDone: () => void;
}

interface HttpDoor {
  door: ModernDoor;
  hints: ParamHeaders;
}

export class Streamable {
  readonly sessions = new SessionRegistry<HttpSession>();
  private readonly doors = new Map<string, HttpDoor>();

  constructor(private readonly options: StreamableOptions) {}

  async post(visit: Visit, body: Message | Message[]): Promise<Response> {
    const { request, caller, target, onDone } = visit;
    const { headers } = request;
    if (!accepts(headers)) {
      throw new Refusal(406, CODE.request, "the client must accept application/json and text/event-stream");
    }
    if (!Array.isArray(body) && isModern(body, headers)) {
      // A notification has no effect over HTTP: to cancel is to hang up.
      if (body.kind !== "request") return done(onDone, new Response(null, { status: 202 }));
      const ended = caller.ended ? [caller.ended] : [];
      // A call may end when the manager does; what has no end of its own is ended.
      if (body.method === "subscriptions/listen") ended.push(this.options.ending);
      const { principal } = caller;
      const { door, hints } = this.door(target, caller);
      // Most calls have nothing to wait for, not even a turn.
      const check = body.method === "tools/call" && hints.check(body, headers, principal, [request.signal, ...ended]);
      if (check) await check;
      return answerModern({
        message: body,
        door,
        hints,
        principal,
        gone: request.signal,
        ended,
        onDone,
      });
    }
    const batch = Array.isArray(body);
    const broken = (batch ? body : [body]).find((one) => one.kind === "broken");
    if (broken?.kind === "broken") throw new Refusal(400, broken.error.code, broken.error.message);
    const session = this.session(visit, body);
    return session.post(batch ? body : [body], batch, request.signal, onDone);
  }

  /** The stream of a session, or what is left of one that broke. */
  get({ request, caller, target, onDone }: Visit): Response {
    const { headers } = request;
    if (headers.get("mcp-session-id") === null) throw notAllowed();
    const session = this.known(headers, caller, target);
    if (!/text\/event-stream|\*\/\*/i.test(headers.get("accept") ?? "*/*")) {
      throw new Refusal(406, CODE.request, "the client must accept text/event-stream");
    }
    return done(onDone, session.listen(headers.get("last-event-id"), request.signal));
  }

  async delete({ request, caller, target, onDone }: Visit): Promise<Response> {
    if (request.headers.get("mcp-session-id") === null) throw notAllowed();
    await this.known(request.headers, caller, target).close();
    return done(onDone, new Response(null, { status: 204 }));
  }

  drain(): void {
    this.sessions.drain();
  }

  async close(): Promise<void> {
    await Promise.all([this.sessions.close(), ...[...this.doors.values()].map(({ door }) => door.close())]);
  }

  /** The one that the request names, or a new one for `initialize`. */
  private session({ request, caller, target }: Visit, body: Message | Message[]): HttpSession {
    const { headers } = request;
    if (headers.get("mcp-session-id") !== null) {
      const session = this.known(headers, caller, target);
      if (Array.isArray(body) && !session.batches) {
        throw new Refusal(400, CODE.request, `batches belong to the protocol version ${BATCH_VERSION}`);
      }
      return session;
    }
    if (Array.isArray(body) || body.kind !== "request" || body.method !== "initialize") {
      throw new Refusal(400, CODE.request, "the header Mcp-Session-Id is missing; send initialize first");
    }
    const key = targetKey(target);
    const upstream = openTarget(this.options.gateways, target, caller);
    return this.sessions.admit(caller, (id, onClose) => new HttpSession(id, caller, key, upstream, onClose));
  }

  private known(headers: Headers, caller: Caller, target: Target): HttpSession {
    const session = this.sessions.get(headers.get("mcp-session-id") ?? "", caller, targetKey(target));
    const version = headers.get("mcp-protocol-version");
    // Only one that is not supported MUST be refused (2025-11-25, transports); the session knows what it has agreed on.
    if (version === null || LEGACY_VERSIONS.some((known) => known === version)) return session;
    throw new Refusal(400, CODE.request, "MCP-Protocol-Version: this protocol version is not known", {
      data: { supported: LEGACY_VERSIONS },
    });
  }

  private door(target: Target, caller: Caller): HttpDoor {
    const name = targetKey(target);
    const key = JSON.stringify([name, caller.allow, caller.readOnly]);
    const found = this.doors.get(key);
    if (found) {
      // The last to be used is the last to go.
      this.doors.delete(key);
      this.doors.set(key, found);
      return found;
    }
    if (this.doors.size >= DOORS_MAX) this.makeRoom();
    const { seal, gateways, inFlightMax } = this.options;
    const door = new ModernDoor(openTarget(gateways, target, caller), { seal, name, inFlightMax });
    const made = { door, hints: new ParamHeaders(door) };
    this.doors.set(key, made);
    return made;
  }

  /** Whoever listens behind a door would hear nothing any more. Fault: `exhausted`. */
  private makeRoom(): void {
    const oldest = [...this.doors].find(([, { door }]) => !door.inUse);
    if (!oldest) throw new Fault("exhausted", `clients of ${DOORS_MAX} different scopes are being served already`);
    this.doors.delete(oldest[0]);
    void oldest[1].door.close();
  }
}

/** Both are needed, since the client cannot know which of them comes; who says nothing takes everything. */
function accepts(headers: Headers): boolean {
  const accept = headers.get("accept");
  if (accept === null || accept.includes("*/*")) return true;
  return accept.includes("application/json") && accept.includes("text/event-stream");
}

function done(onDone: () => void, response: Response): Response {
  onDone();
  return response;
}

/** Modern clients have no GET; legacy ones only within a session. */
export function notAllowed(allow = "POST"): Refusal {
  return new Refusal(405, CODE.request, `this path takes ${allow}`, { headers: { allow } });
}
