/**
 * The toolset over HTTP: `/mcp` for clients of both eras, or `/sse` and `/messages` for those before 2025-03-26. Loopback
 * unless asked otherwise; Host and Origin against web pages, a bearer token against everybody else.
 */
import {
  createMcpHandler,
  isLegacyRequest,
  type Server,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import { Fault } from "../base/fault.ts";
import { checkHost, checkOrigin, checkToken, type Door } from "../base/guard.ts";
import type { Log } from "../base/log.ts";
import { watchListened } from "./resources/listening.ts";
import { Sessions } from "./sessions.ts";
import { SseTransport } from "./sse.ts";
import type { Toolset } from "./toolset.ts";

const BODY_BYTES_MAX = 4 * 1024 * 1024;
const SUBSCRIPTIONS_MAX = 256;
const MESSAGES = "/messages";

interface HttpOptions {
  transport: "http" | "sse";
  host: string;
  /** 0: any. */
  port: number;
  /** Undefined: nobody has to say one. */
  token: string | undefined;
  log: Log;
}

type Handler = (request: Request, body: unknown) => Promise<Response>;

interface Offer {
  /** For people: where clients are to be pointed. */
  path: string;
  routes: Record<string, Handler>;
  close(): Promise<void>;
}

/** Serves until it is closed. Faults: `conflict` where the port is taken. */
export function serveHttp(toolset: Toolset, make: () => Server, { transport, host, port, token, log }: HttpOptions) {
  const offer = transport === "http" ? streamable(toolset, make) : eventStream(toolset, make);
  const door: Door = { token, hosts: [host.toLowerCase()] };
  const server = listen(host, port, async (request) => {
    try {
      const { pathname } = new URL(request.url);
      guard(request, door);
      const handler = offer.routes[pathname];
      if (!handler) throw new Fault("not-found", `there is no ${pathname}`, { hint: `MCP is at ${offer.path}.` });
      return await handler(request, await bodyOf(request));
    } catch (error) {
      const fault = Fault.from(error);
      log.warn("a request was refused", { kind: fault.kind, reason: fault.message });
      return refusal(fault);
    }
  });
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${server.port}${offer.path}`,
    async close() {
      await offer.close();
      await server.stop(true);
    },
  };
}

/** Streamable HTTP: one request, one server in the modern era; sessions before. */
function streamable(toolset: Toolset, make: () => Server): Offer {
  const modern = createMcpHandler(make, { legacy: "reject", maxSubscriptions: SUBSCRIPTIONS_MAX });
  const publish = oncePerTurn((uri) => modern.notify.resourceUpdated(uri));
  const sessions = new Sessions<WebStandardStreamableHTTPServerTransport>();
  const legacy = async (request: Request, parsedBody: unknown): Promise<Response> => {
    const options = parsedBody === undefined ? {} : { parsedBody };
    const id = request.headers.get("mcp-session-id");
    if (id !== null) {
      const found = sessions.use(id, request);
      if (!found)
        throw new Fault("not-found", "this session does not exist any more", { hint: "Send initialize again." });
      return found.handleRequest(request, options);
    }
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
      onsessioninitialized: (session) => sessions.add(session, transport),
    });
    const server = make();
    await server.connect(transport);
    chain(transport, () => {
      sessions.drop(transport.sessionId);
      void toolset.leave(transport.sessionId ?? "");
    });
    const response = await transport.handleRequest(request, options);
    // It was no `initialize`, and is answered with an error.
    if (transport.sessionId === undefined) await server.close();
    return response;
  };
  const both: Handler = async (request, body) => {
    if (request.method !== "POST" || (await isLegacyRequest(request, body))) return legacy(request, body);
    const watched = watchListened(body, toolset, publish);
    if (watched) request.signal.addEventListener("abort", () => watched.end(), { once: true });
    return modern.fetch(request, { parsedBody: body });
  };
  return {
    path: "/mcp",
    routes: { "/mcp": both },
    async close() {
      await Promise.all([modern.close(), sessions.close()]);
    },
  };
}

function eventStream(toolset: Toolset, make: () => Server): Offer {
  const sessions = new Sessions<SseTransport>();
  return {
    path: "/sse",
    routes: {
      "/sse": async (request) => {
        if (request.method !== "GET") throw new Fault("usage", "the stream of events is opened with GET");
        const transport = new SseTransport(MESSAGES);
        await make().connect(transport);
        sessions.add(transport.sessionId, transport);
        sessions.use(transport.sessionId, request);
        chain(transport, () => {
          sessions.drop(transport.sessionId);
          void toolset.leave(transport.sessionId);
        });
        request.signal.addEventListener("abort", () => void transport.close(), { once: true });
        return transport.response();
      },
      [MESSAGES]: async (request, body) => {
        if (request.method !== "POST") throw new Fault("usage", "messages are sent with POST");
        const id = new URL(request.url).searchParams.get("sessionId") ?? "";
        const transport = sessions.use(id, request);
        if (!transport) throw new Fault("not-found", "this session does not exist", { hint: "Open /sse first." });
        try {
          transport.receive(body);
        } catch (cause) {
          throw new Fault("usage", "the body is no JSON-RPC message", { cause });
        }
        return new Response("Accepted", { status: 202 });
      },
    },
    close: () => sessions.close(),
  };
}

function listen(hostname: string, port: number, fetch: (request: Request) => Promise<Response>) {
  try {
    return Bun.serve({ hostname, port, idleTimeout: 0, maxRequestBodySize: BODY_BYTES_MAX, fetch });
  } catch (cause) {
    throw new Fault("conflict", `${hostname}:${port} cannot be listened on`, {
      hint: "Another program may have the port: choose one with --port.",
      cause,
    });
  }
}

/** Faults: `forbidden`, `unauthenticated`. */
function guard({ headers }: Request, door: Door): void {
  const host = headers.get("host");
  // A door without a token lets every host name in: here web pages are kept out all the same.
  const fault =
    checkHost(host, { ...door, token: door.token ?? "" }) ??
    checkOrigin(headers.get("origin"), host) ??
    checkToken(headers.get("authorization"), door);
  if (fault) throw fault;
}

async function bodyOf(request: Request): Promise<unknown> {
  if (request.method !== "POST") return undefined;
  if (!/^application\/json\b/i.test(request.headers.get("content-type") ?? ""))
    throw new Fault("unsupported", "the body has to be application/json");
  try {
    return await request.json();
  } catch (cause) {
    throw new Fault("usage", "the body is no JSON", { cause });
  }
}

function refusal(fault: Fault): Response {
  const error = { code: fault.faces.rpc, message: fault.hint ? `${fault.message}. ${fault.hint}` : fault.message };
  const headers: Record<string, string> = fault.kind === "unauthenticated" ? { "www-authenticate": "Bearer" } : {};
  return Response.json({ jsonrpc: "2.0", id: null, error }, { status: fault.faces.http, headers });
}

/** The protocol has set its own already. */
function chain(transport: { onclose?: (() => void) | undefined }, also: () => void): void {
  const before = transport.onclose;
  transport.onclose = () => {
    also();
    before?.();
  };
}

/** Each listener to a URI hears of a change: together they publish it once. */
function oncePerTurn(publish: (uri: string) => void): (uri: string) => void {
  const published = new Set<string>();
  return (uri) => {
    if (published.has(uri)) return;
    if (published.size === 0) queueMicrotask(() => published.clear());
    published.add(uri);
    publish(uri);
  };
}
