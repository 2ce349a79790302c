/**
 * Where MCP is served over HTTP, and who is let in: path, Host and Origin, credentials, limits, in this order and before
 * a byte of the body is read. Every refusal is a JSON-RPC error.
 */
import { Fault } from "../../base/fault.ts";
import { checkHost, checkOrigin, type Door } from "../../base/guard.ts";
import type { Message } from "../../gateway/clients/message.ts";
import { Seal } from "../../gateway/clients/seal.ts";
import type { Gateways } from "../../gateway/exchange.ts";
import type { AccessTokens } from "../../manager/access-tokens.ts";
import { CONCURRENT_DEFAULT, type LimitsSection, type OAuthSection } from "../../model/http-config.ts";
import type { Server } from "../crowd.ts";
import { readMessages } from "./body.ts";
import { Callers } from "./callers.ts";
import { Limits } from "./limits.ts";
import { METADATA_PATH, OAuth } from "./oauth.ts";
import { idOf, JSON_HEADERS, refusalResponse } from "./refusal.ts";
import { SocketChannel, SUBPROTOCOL } from "./socket.ts";
import { EventSessions, MESSAGES_PATH } from "./sse.ts";
import { notAllowed, Streamable, type Visit } from "./streamable.ts";
import type { Target } from "./targets.ts";

export interface McpOptions {
  gateways: Gateways;
  tokens: AccessTokens;
  /** What states are sealed with that clients carry; the same after a restart. */
  key: Uint8Array;
  oauth?: OAuthSection | undefined;
  limits?: LimitsSection | undefined;
  /** WebSocket, too. */
  webSocket?: boolean | undefined;
  /** Aborts when the manager ends. */
  ending: AbortSignal;
}

type Kind = "mcp" | "sse" | "messages" | "ws";

/** What a path is for; `pattern` is its name in the metrics. */
interface Place {
  kind: Kind;
  target: Target;
  pattern: string;
}

/** A path of ours that leads nowhere else. */
export interface Routed {
  pattern: string;
  /** Undefined: the connection has become a WebSocket. */
  response: Promise<Response | undefined>;
}

export class McpEndpoints {
  private readonly callers: Callers;
  private readonly limits: Limits;
  private readonly streamable: Streamable;
  private readonly events: EventSessions;
  private readonly sockets = new Set<SocketChannel>();
  private readonly oauth: OAuth | undefined;
  private readonly seal: Seal;

  constructor(private readonly options: McpOptions) {
    const { gateways, tokens, key, oauth, limits, ending } = options;
    const inFlightMax = limits?.concurrent ?? CONCURRENT_DEFAULT;
    this.oauth = oauth && new OAuth(oauth);
    this.callers = new Callers(tokens, this.oauth);
    this.limits = new Limits({ ...limits, concurrent: inFlightMax });
    this.seal = new Seal(key);
    this.streamable = new Streamable({ gateways, seal: this.seal, inFlightMax, ending });
    this.events = new EventSessions(gateways);
  }

  /** Undefined where the path is none of MCP's. */
  route(request: Request, server: Server, door: Door): Routed | undefined {
    const url = new URL(request.url);
    if (this.oauth && url.pathname.startsWith(METADATA_PATH)) {
      return { pattern: METADATA_PATH, response: this.metadata(request, url, door, this.oauth) };
    }
    const place = placeOf(url, this.options.webSocket === true);
    return place && { pattern: place.pattern, response: this.answer(request, url, place, server, door) };
  }

  /** Ends what has no end of its own; what is being answered goes on until `close`. */
  drain(): void {
    this.streamable.drain();
    this.events.drain();
    for (const socket of this.sockets) socket.drain();
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.end();
    await Promise.all([this.streamable.close(), this.events.close()]);
  }

  private async answer(request: Request, url: URL, place: Place, server: Server, door: Door) {
    let body: Message | Message[] | undefined;
    let leave = () => {};
    try {
      guard(request.headers, door);
      const found = this.callers.find(request.headers, door, this.resource(url));
      const caller = found instanceof Promise ? await found : found;
      const full = this.limits.enter(caller.principal);
      if (full) throw full;
      leave = once(() => this.limits.leave(caller.principal));
      const visit: Visit = { request, caller, target: place.target, onDone: leave };
      if (place.kind === "ws") return this.upgrade(visit, server);
      if (request.method !== "POST") return await this.withoutBody(visit, place.kind);
      if (place.kind === "sse") throw notAllowed("GET");
      body = await readMessages(request);
      // The first one has been counted in.
      if (Array.isArray(body)) this.limits.charge(caller.principal, body.length - 1);
      // While it was read.
      if (caller.ended?.aborted)
        throw this.callers.unknown("the bearer token is not valid any more", this.resource(url));
      if (place.kind === "mcp") return await this.streamable.post(visit, body);
      return this.events.post(visit, body);
    } catch (error) {
      leave();
      return refusalResponse(error, idOf(body));
    }
  }

  private async withoutBody(visit: Visit, kind: Kind): Promise<Response> {
    const { method } = visit.request;
    if (kind === "sse" && method === "GET") return this.events.open(visit);
    if (kind === "mcp" && method === "GET") return this.streamable.get(visit);
    if (kind === "mcp" && method === "DELETE") return this.streamable.delete(visit);
    throw notAllowed(kind === "sse" ? "GET" : "POST");
  }

  private upgrade({ request, caller, target, onDone }: Visit, server: Server): Response | undefined {
    const offered = request.headers.get("sec-websocket-protocol")?.split(/ *, */) ?? [];
    if (!offered.includes(SUBPROTOCOL)) throw new Fault("usage", `the subprotocol of this WebSocket is ${SUBPROTOCOL}`);
    const close = () => {
      this.sockets.delete(channel);
      onDone();
    };
    const { gateways } = this.options;
    const channel: SocketChannel = new SocketChannel(gateways, this.seal, caller, target, this.limits, close);
    if (!server.upgrade(request, { data: channel, headers: { "sec-websocket-protocol": SUBPROTOCOL } })) {
      throw new Fault("usage", "this path is a WebSocket");
    }
    this.sockets.add(channel);
    return undefined;
  }

  private async metadata(request: Request, url: URL, door: Door, oauth: OAuth): Promise<Response> {
    try {
      guard(request.headers, door);
      if (request.method !== "GET") throw notAllowed("GET");
      const path = url.pathname.slice(METADATA_PATH.length) || "/mcp";
      if (!placeOf(new URL(path, url), false)) throw new Fault("not-found", "there is no such resource");
      const document = JSON.stringify(oauth.document(oauth.resource(url.origin, path)));
      return new Response(document, { headers: JSON_HEADERS });
    } catch (error) {
      return refusalResponse(error, undefined);
    }
  }

  private resource({ origin, pathname }: URL): string {
    return this.oauth?.resource(origin, pathname) ?? origin + pathname;
  }
}

function placeOf({ pathname: path, searchParams }: URL, webSocket: boolean): Place | undefined {
  const pathname = path.endsWith("/") ? path.slice(0, -1) : path;
  const all: Target = { kind: "all", group: searchParams.get("group") ?? undefined };
  if (pathname === "/mcp") return { kind: "mcp", target: all, pattern: pathname };
  if (pathname === "/sse") return { kind: "sse", target: all, pattern: pathname };
  if (pathname === MESSAGES_PATH) return { kind: "messages", target: all, pattern: pathname };
  if (pathname === "/mcp/ws" && webSocket) return { kind: "ws", target: all, pattern: pathname };
  const match = /^\/servers\/([^/]+)\/(mcp|sse|mcp\/ws)$/.exec(pathname);
  if (!match?.[1]) return undefined;
  const target: Target = { kind: "one", server: match[1] };
  const kind = match[2] === "mcp" ? "mcp" : match[2] === "sse" ? "sse" : "ws";
  if (kind === "ws" && !webSocket) return undefined;
  return { kind, target, pattern: `/servers/:name/${match[2]}` };
}

/** Faults: `forbidden`. */
function guard(headers: Headers, door: Door): void {
  const host = headers.get("host");
  const refused = checkHost(host, door) ?? checkOrigin(headers.get("origin"), host);
  if (refused) throw refused;
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    work();
  };
}
