/** The API with MCP endpoints over upstreams that do what a test says, and ways to talk to it as the specification has it. */
import type { McpSettings } from "../../../src/api/server.ts";
import { Fault } from "../../../src/base/fault.ts";
import type { Exchange, Reply, Selection, Upstream } from "../../../src/gateway/exchange.ts";
import { type ApiUnderTest, startApi } from "../../support/api.ts";
import { FakeUpstream, result, text } from "../../gateway/clients/fake.ts";

const TOOLS = ["echo", "later", "steps", "ask", "big"].map((name) => ({
  name,
  description: name,
  inputSchema: { type: "object", properties: { text: { type: "string", "x-mcp-header": "Text" } } },
  ...(name === "echo" ? { annotations: { readOnlyHint: true } } : {}),
}));

export interface McpUnderTest extends AsyncDisposable {
  api: ApiUnderTest;
  url: string;
  /** Everything as one. */
  upstream: FakeUpstream;
  /** The one server that there is, `files`. */
  files: FakeUpstream;
  selections: Selection[];
  /** Lets every `later` end. */
  release(words: string): void;
}

export async function startMcp(name: string, more: Partial<McpSettings> = {}): Promise<McpUnderTest> {
  const waiting = new Set<(words: string) => void>();
  const upstream = new FakeUpstream("legacy", (exchange) => answer(exchange, waiting));
  const files = new FakeUpstream("legacy", (exchange) => answer(exchange, waiting));
  const selections: Selection[] = [];
  const gateways = {
    all(selection: Selection): Upstream {
      selections.push(selection);
      if (selection.group === "nobody") throw new Fault("not-found", "there is no group nobody");
      return upstream;
    },
    one(server: string): Upstream {
      if (server === "files") return files;
      throw new Fault("not-found", `there is no server ${server}`);
    },
  };
  const api = await startApi(name, "process", { gateways, ...more });
  return {
    api,
    url: api.url,
    upstream,
    files,
    selections,
    release: (words) => {
      for (const resolve of waiting) resolve(words);
      waiting.clear();
    },
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

async function answer(exchange: Exchange, waiting: Set<(words: string) => void>): Promise<Reply> {
  const { method, params, signal } = exchange;
  if (method === "tools/list") return result("legacy", { tools: TOOLS });
  if (method !== "tools/call") return { kind: "error", error: { code: -32601, message: "Method not found" } };
  const args = (params.arguments ?? {}) as { text?: string; steps?: number };
  if (params.name === "big") return text("legacy", "x".repeat(1_000_000));
  if (params.name === "steps") {
    // As far apart as servers are: the SDK forgets a token as soon as the result is there.
    for (let step = 1; step <= (args.steps ?? 1); step += 1) {
      await Bun.sleep(20);
      exchange.progress?.({ progress: step, total: args.steps ?? 1 });
    }
  }
  if (params.name === "steps") await Bun.sleep(50);
  if (params.name === "ask") {
    const given = await exchange.ask?.({ method: "elicitation/create", params: { message: "May I?" } }, signal);
    return text("legacy", JSON.stringify(given));
  }
  if (params.name !== "later") return text("legacy", args.text ?? "");
  const { promise, resolve } = Promise.withResolvers<string>();
  waiting.add(resolve);
  signal.addEventListener("abort", () => resolve("cancelled"), { once: true });
  return text("legacy", await promise);
}

const BOTH = "application/json, text/event-stream";
export const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};

export interface Post {
  token?: string;
  path?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** A POST of any body, with the headers that every MCP client sends. */
export function post(mcp: McpUnderTest, body: unknown, { token, path = "/mcp", headers, signal }: Post = {}) {
  return fetch(`${mcp.url}${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token ?? mcp.api.token}`,
      "content-type": "application/json",
      accept: BOTH,
      ...headers,
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

/** A request of the modern era, with the headers that repeat it. */
export function modern(mcp: McpUnderTest, method: string, params: Record<string, unknown> = {}, options: Post = {}) {
  const body = {
    jsonrpc: "2.0",
    id: 1,
    method,
    params: { ...params, _meta: { ...META, ...(params._meta as object) } },
  };
  const name = params.name ?? params.uri;
  const { text } = (params.arguments ?? {}) as { text?: string };
  const headers: Record<string, string> = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": method,
    ...(typeof name === "string" ? { "mcp-name": name } : {}),
    // As the tools here ask for it.
    ...(method === "tools/call" && text !== undefined ? { "mcp-param-text": encoded(text) } : {}),
    ...options.headers,
  };
  return post(mcp, body, { ...options, headers });
}

export function encoded(text: string): string {
  return `=?base64?${Buffer.from(text).toString("base64")}?=`;
}

export function call(name: string, args: Record<string, unknown> = {}, id: string | number = 1) {
  return { jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args } };
}

/** A legacy session; the headers that its requests have. */
export async function initialize(mcp: McpUnderTest, version = "2025-11-25", options: Post = {}) {
  const params = {
    protocolVersion: version,
    capabilities: { elicitation: {} },
    clientInfo: { name: "t", version: "1" },
  };
  const response = await post(mcp, { jsonrpc: "2.0", id: 0, method: "initialize", params }, options);
  if (!response.ok) throw new Error(`initialize: ${response.status} ${await response.text()}`);
  const session = response.headers.get("mcp-session-id") ?? "";
  const headers = { "mcp-session-id": session, "mcp-protocol-version": version };
  await post(mcp, { jsonrpc: "2.0", method: "notifications/initialized" }, { ...options, headers });
  return headers;
}

export interface SseEvent {
  id: string | undefined;
  event: string | undefined;
  data: string;
}

/** Events of a stream as they come; comments are passed over. */
export async function* events(response: Response): AsyncGenerator<SseEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response.body ?? []) {
    rest += decoder.decode(chunk, { stream: true });
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const block = rest.slice(0, end);
      rest = rest.slice(end + 2);
      const field = (name: string) =>
        block
          .split("\n")
          .filter((line) => line.startsWith(`${name}: `) || line === `${name}:`)
          .map((line) => line.slice(name.length + 2))[0];
      const data = field("data");
      if (data !== undefined) yield { id: field("id"), event: field("event"), data };
    }
  }
}

export function wordsOf(message: unknown): string {
  const { result: answered } = message as { result: { content: { text: string }[] } };
  return answered.content[0]?.text ?? "";
}
