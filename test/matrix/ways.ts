/** The transports of the matrix, each as somebody would configure it in a client. */
import { StdioClientTransport as StdioModern } from "@modelcontextprotocol/client/stdio";
import { StreamableHTTPClientTransport as HttpModern } from "@modelcontextprotocol/client";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport as StdioLegacy } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as HttpLegacy } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Launch } from "../e2e/launch.ts";
import type { Doors } from "../e2e/stage.ts";
import { TcpTransport } from "./tcp.ts";
import type { AnyTransport, ClientKind } from "./peers.ts";
import { WebSocketTransport } from "./web-socket.ts";

export interface Way {
  name: string;
  /** Several servers as one: names have the server's before them. */
  all: boolean;
  /** Which clients have it. */
  takes(client: ClientKind): boolean;
  open(doors: Doors, client: ClientKind, server: string): AnyTransport;
}

const stdio = ({ sdk }: ClientKind, { command, args, env }: Launch): AnyTransport => {
  const launch = { command, args, env, stderr: "inherit" as const };
  return sdk === 1 ? new StdioLegacy(launch) : new StdioModern(launch);
};

const http = ({ sdk }: ClientKind, url: string, token: string): AnyTransport => {
  const options = { requestInit: { headers: { authorization: `Bearer ${token}` } } };
  return sdk === 1 ? new HttpLegacy(new URL(url), options) : new HttpModern(new URL(url), options);
};

const any = () => true;

export const WAYS: readonly Way[] = [
  {
    name: "stdio",
    all: false,
    takes: any,
    open: ({ front }, client, server) => stdio(client, front(server, "--translate")),
  },
  { name: "stdio, all as one", all: true, takes: any, open: ({ front }, client) => stdio(client, front()) },
  {
    name: "HTTP",
    all: false,
    takes: any,
    open: ({ url, token }, client, server) => http(client, `${url}/servers/${server}/mcp`, token),
  },
  {
    name: "HTTP, all as one",
    all: true,
    takes: any,
    open: ({ url, token }, client) => http(client, `${url}/mcp`, token),
  },
  {
    name: "HTTP+SSE",
    all: false,
    takes: ({ sdk }) => sdk === 1,
    open: ({ url, token }, _client, server) => {
      const headers = { authorization: `Bearer ${token}` };
      return new SSEClientTransport(new URL(`${url}/servers/${server}/sse`), { requestInit: { headers } });
    },
  },
  {
    name: "WebSocket",
    all: false,
    takes: any,
    open: ({ url, token }, _client, server) =>
      new WebSocketTransport(`${url.replace("http", "ws")}/servers/${server}/mcp/ws`, token),
  },
  {
    name: "TCP",
    all: false,
    takes: any,
    open: ({ tcpPort, token }, _client, server) => new TcpTransport(tcpPort, { server, token, translate: true }),
  },
  {
    name: "TCP, all as one",
    all: true,
    takes: any,
    open: ({ tcpPort, token }) => new TcpTransport(tcpPort, { server: "*", token }),
  },
];
