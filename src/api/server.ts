/** Serves the REST API: on TCP for whoever has the token, on a unix socket for whoever may open the file. */
import { chmodSync, rmSync } from "node:fs";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Approvals } from "../gateway/aggregate/approvals.ts";
import { ToolCalls } from "../gateway/tool-calls.ts";
import type { Manager } from "../manager/manager.ts";
import type { Gate } from "../safety/gate.ts";
import type { ServersDoor } from "./client/door.ts";
import { createApp } from "./app.ts";
import { CrowdedPort, endServer, type Server } from "./crowd.ts";
import type { Door } from "../base/guard.ts";
import { McpEndpoints, type McpOptions, type Routed } from "./mcp/endpoints.ts";
import { SOCKET_HANDLER } from "./mcp/socket.ts";
import { Metrics } from "./metrics.ts";
import { ownDoor } from "./own-door.ts";
import { PROBLEM_TYPE } from "./problem.ts";
import { JSON_TYPE } from "./responses.ts";

export interface ApiOptions {
  tcp?: {
    /** An address of this machine; `127.0.0.1` unless somebody asked for more. */
    host: string;
    /** 0 is any free port. */
    port: number;
    /** The bearer token that every request needs, but for `GET /health`. */
    token: string;
    /** Names, beside `localhost` and addresses, that the Host header may have. */
    hosts?: readonly string[];
  };
  /** MCP over HTTP, on both; without it the API is REST only. */
  mcp?: McpSettings;
  /** Path of the unix socket; 0600, no token. Whoever calls this holds the lock of the data directory. */
  socket?: string;
  /** What everything that changes something passes. */
  gate: Gate;
  /** Of tools that have changed. */
  approvals: Approvals;
  /** Hears of failures that are ours, for the log. */
  onDefect: (fault: Fault) => void;
  /** Hears when the port takes nobody, because descriptors are scarce, and when it does again. */
  onCrowd?: (open: boolean) => void;
}

export type McpSettings = Pick<McpOptions, "gateways" | "oauth" | "limits" | "webSocket">;

export interface Api {
  /** Of the TCP side: `http://127.0.0.1:8080`. */
  url: string | undefined;
  port: number | undefined;
  socket: string | undefined;
  /** For toolsets that this process hosts. */
  door: ServersDoor;
  /** Requests that are being answered, streams included. */
  readonly pending: number;
  /** Takes no new requests, lets those under way end until the deadline, then cuts them. Idempotent. */
  close(deadline: Deadline): Promise<void>;
}

/** Bun's own limit answers without a word; the one of input.ts has a problem body, and reads no further either. */
const NO_LIMIT_OF_BUN = Number.MAX_SAFE_INTEGER;
/** A kept connection without a request, and a client that takes this long to send one, seconds. Each holds a descriptor. */
const IDLE_S = 10;
const NO_HOST = "the Host header is missing\n";
const REFUSED = { status: 400, headers: { connection: "close" } };
/** The status of what has become a WebSocket. */
const SWITCHING = 101;
/**
 * On a unix socket Bun 1.4.5 does not heed `server.timeout`, and without this option cuts a quiet answer after 10 s;
 * its types do not know the option there. Whoever may open the socket may also keep it open.
 */
const NEVER_IDLE: object = { idleTimeout: 0 };

/** Faults: `conflict` when the port is taken, `forbidden` when this user may not have it. */
export function serveApi(manager: Manager, options: ApiOptions): Api {
  const calls = new ToolCalls({
    acquire: (server, report, deadline) =>
      manager.acquire({ server, pid: process.pid, ppid: process.ppid }, "manager", report, deadline),
    release: (session) => manager.release(session),
    view: (server, session) => manager.server(server, session),
    era: (server) => manager.definitions().find(({ name }) => name === server)?.spec.era,
  });
  manager.letGo = (server) => calls.letGo(server);
  const ending = new AbortController();
  const { gate, approvals } = options;
  const services = { manager, calls, metrics: new Metrics(), gate, approvals, ending: ending.signal };
  const app = createApp(services, options.onDefect);
  const mcp =
    options.mcp &&
    new McpEndpoints({ ...options.mcp, tokens: manager.access, key: manager.dataDir.key, ending: ending.signal });
  const answer = async (request: Request, server: Server, door: Door): Promise<Response | undefined> => {
    const routed = mcp?.route(request, server, door);
    return routed ? measured(request, routed, services.metrics) : app.fetch(request, { door });
  };
  const listen = (where: Where, door: Door) => serveOn(where, (request, server) => answer(request, server, door));
  const { tcp, socket } = options;
  const own = socket === undefined ? undefined : listenOnSocket(socket, () => listen({ unix: socket }, OWN_DOOR));
  const hosts = tcp?.hosts?.map((host) => host.toLowerCase()) ?? [];
  let bound: { url: string; port: number } | undefined;
  const onPort = (where: NonNullable<ApiOptions["tcp"]>) => {
    const { host, token } = where;
    const wanted = bound?.port ?? where.port;
    const server = listenOnPort(where, () => listen({ hostname: host, port: wanted }, { token, hosts }));
    // A server that was stopped has no port any more.
    bound = { url: server.url.origin, port: server.port ?? wanted };
    return server;
  };
  try {
    const onChange = options.onCrowd ?? (() => {});
    const port = tcp && new CrowdedPort({ listen: () => onPort(tcp), onChange });
    return {
      url: bound?.url,
      port: bound?.port,
      socket,
      door: ownDoor(services),
      get pending() {
        return (port?.pending ?? 0) + (own?.pendingRequests ?? 0);
      },
      close: async (deadline) => {
        ending.abort();
        mcp?.drain();
        await Promise.all([port?.close(deadline), own && endServer(own, deadline)]);
        await Promise.all([mcp?.close(), calls.close()]);
        if (socket !== undefined) rmSync(socket, { force: true });
      },
    };
  } catch (error) {
    void own?.stop(true);
    throw error;
  }
}

type Where = { hostname: string; port: number } | { unix: string };

function serveOn(where: Where, answer: (request: Request, server: Server) => Promise<Response | undefined>): Server {
  const common = {
    maxRequestBodySize: NO_LIMIT_OF_BUN,
    // Bun's page about an error has our source in it.
    development: false,
    fetch: async (request: Request, server: Server) => {
      // An answer may take as long as it takes: each route has its own deadline, and streams have none.
      server.timeout(request, 0);
      // HTTP/1.0 may come without a Host, and then nobody knows whose path this is.
      if (!URL.canParse(request.url)) return new Response(NO_HOST, REFUSED);
      const response = await answer(request, server);
      if (!response) return undefined;
      // Otherwise a connection without a limit would be kept after it, and its descriptor with it.
      if (endsByItself(response)) server.timeout(request, IDLE_S);
      else response.headers.set("connection", "close");
      return response;
    },
    websocket: SOCKET_HANDLER,
  };
  return "unix" in where
    ? Bun.serve({ ...where, ...common, ...NEVER_IDLE })
    : Bun.serve({ ...where, ...common, idleTimeout: IDLE_S });
}

async function measured({ method }: Request, { pattern, response }: Routed, metrics: Metrics) {
  const startedAt = performance.now();
  const answered = await response;
  metrics.request(method, pattern, answered?.status ?? SWITCHING, (performance.now() - startedAt) / 1000);
  return answered;
}

/** Whoever may open the socket needs no token. */
const OWN_DOOR: Door = { token: undefined, hosts: [] };

/** Not a stream, which may go on or be silent for any time. */
function endsByItself(response: Response): boolean {
  const type = response.headers.get("content-type");
  return type === null || type === JSON_TYPE || type === PROBLEM_TYPE;
}

function listenOnSocket(path: string, listen: () => Server): Server {
  // Left by a manager that was killed; a living one would hold the lock.
  rmSync(path, { force: true });
  // Nobody else may connect between the binding and the change of its mode.
  const before = process.umask(0o177);
  try {
    const server = listen();
    chmodSync(path, 0o600);
    return server;
  } finally {
    process.umask(before);
  }
}

function listenOnPort({ host, port }: { host: string; port: number }, listen: () => Server): Server {
  try {
    return listen();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EADDRINUSE") {
      throw new Fault("conflict", `port ${port} on ${host} is taken`, {
        cause: error,
        hint: `End what listens there, or choose another port with --port; 0 is any free one.`,
        data: { host, port },
      });
    }
    const why = code === "EACCES" ? "needs more rights" : "cannot be listened on";
    throw new Fault("forbidden", `port ${port} on ${host} ${why}`, { cause: error, data: { host, port } });
  }
}
