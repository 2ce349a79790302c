/** The modern era over HTTP: statuses, headers, plain answers, streams. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import fc from "fast-check";
import { TokenClient } from "../../../src/api/client/tokens.ts";
import { seeded } from "../../support/seed.ts";
import { until } from "../../support/until.ts";
import {
  call,
  encoded,
  events,
  initialize,
  type McpUnderTest,
  META,
  modern,
  post,
  startMcp,
  wordsOf,
} from "./support.ts";

let mcp: McpUnderTest;
beforeAll(async () => {
  mcp = await startMcp("modern");
});
afterAll(() => mcp[Symbol.asyncDispose]());

const MODERN = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "echo" };
const enveloped = <T extends { params: object }>(body: T) => ({ ...body, params: { ...body.params, _meta: META } });

async function error(response: Response): Promise<{ status: number; id: unknown; code: number; message: string }> {
  const body = (await response.json()) as { id: unknown; error: { code: number; message: string } };
  return { status: response.status, id: body.id, ...body.error };
}

test("a call is answered in plain JSON, without a session", async () => {
  const response = await modern(mcp, "tools/call", { name: "echo", arguments: { text: "hello" } });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(response.headers.get("mcp-session-id")).toBeNull();
  expect(wordsOf(await response.json())).toBe("hello");
});

test("the stream begins with the first notification, and ends with the answer", async () => {
  const response = await modern(mcp, "tools/call", {
    name: "steps",
    arguments: { steps: 3 },
    _meta: { progressToken: "p" },
  });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const messages = (await Array.fromAsync(events(response))).map(({ data }) => JSON.parse(data));
  expect(messages.map((message) => message.method ?? "answer")).toEqual([
    "notifications/progress",
    "notifications/progress",
    "notifications/progress",
    "answer",
  ]);
});

test("hanging up cancels the call", async () => {
  const hangUp = new AbortController();
  const before = mcp.upstream.calls;
  const asked = modern(mcp, "tools/call", { name: "later" }, { signal: hangUp.signal }).catch(() => "hung up");
  await until("the call", () => mcp.upstream.calls > before, 5_000);
  hangUp.abort();
  expect(await asked).toBe("hung up");
  await until("its cancellation", () => mcp.upstream.exchanges.at(-1)?.signal.aborted, 5_000);
});

describe("headers", () => {
  const body = enveloped(call("echo", { text: "a" }, 7));
  test.each([
    ["no version", { "mcp-protocol-version": "" }],
    ["another version", { "mcp-protocol-version": "2027-01-01" }],
    ["no method", { "mcp-method": "" }],
    ["another method", { "mcp-method": "tools/list" }],
    ["no name", { "mcp-name": "" }],
    ["another name", { "mcp-name": "other" }],
    ["a name that is no Base64", { "mcp-name": "=?base64?ZWNobw?=" }],
  ])("%s: refused with -32020, and the request's id", async (_what, change) => {
    const headers = Object.fromEntries(Object.entries({ ...MODERN, ...change }).filter(([, value]) => value !== ""));
    expect(await error(await post(mcp, body, { headers }))).toMatchObject({ status: 400, id: 7, code: -32020 });
  });
  test("a name in Base64, and blanks around it", async () => {
    const headers = { ...MODERN, "mcp-name": " =?base64?ZWNobw==?= ", "mcp-param-text": " a " };
    expect((await post(mcp, body, { headers })).status).toBe(200);
  });
  test("the header of the modern era without its envelope", async () => {
    const refused = await error(await post(mcp, call("echo", {}, "x"), { headers: MODERN }));
    expect(refused).toMatchObject({ status: 400, id: "x", code: -32602 });
  });
  test("a version that nobody speaks", async () => {
    const version = { "io.modelcontextprotocol/protocolVersion": "2099-01-01" };
    const unknown = { ...body, params: { ...body.params, _meta: { ...META, ...version } } };
    const headers = { ...MODERN, "mcp-protocol-version": "2099-01-01" };
    expect(await error(await post(mcp, unknown, { headers }))).toMatchObject({ status: 400, id: 7, code: -32022 });
  });
});

test.each(["ping", "initialize", "logging/setLevel", "resources/subscribe", "no/such"])(
  "%s does not exist: 404",
  async (method) => {
    expect(await error(await modern(mcp, method))).toMatchObject({ status: 404, id: 1, code: -32601 });
  },
);

test.each([
  ["no JSON", "{", 400, -32700],
  ["no UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 400, -32700],
  ["no message", "{}", 400, -32600],
  ["another JSON-RPC", '{"jsonrpc":"1.0","id":1,"method":"x"}', 400, -32600],
  ["an empty batch", "[]", 400, -32600],
])("%s", async (_what, body, status, code) => {
  const headers = { authorization: `Bearer ${mcp.api.token}`, "content-type": "application/json" };
  const response = await fetch(`${mcp.url}/mcp`, { method: "POST", headers, body });
  expect(await error(response)).toMatchObject({ status, code });
});

test("a body of another type, one that is too large, one that is too large and does not say so", async () => {
  const typed = await post(mcp, call("echo"), { headers: { "content-type": "text/plain" } });
  expect(typed.status).toBe(415);
  const large = JSON.stringify(call("echo", { text: "x".repeat(4 * 1024 * 1024) }));
  expect((await error(await post(mcp, large))).status).toBe(413);
  const chunked = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(large));
      controller.close();
    },
  });
  const headers = { authorization: `Bearer ${mcp.api.token}`, "content-type": "application/json" };
  const response = await fetch(`${mcp.url}/mcp`, { method: "POST", headers, body: chunked });
  expect((await error(response)).status).toBe(413);
});

test("whatever is sent: an error of JSON-RPC, or nothing to answer; never a failure of ours", async () => {
  const session = await initialize(mcp);
  const method = fc.constantFrom("tools/call", "initialize", "ping", "notifications/cancelled", "prompts/get", "x");
  const id = fc.option(fc.oneof(fc.integer(), fc.string(), fc.double(), fc.constant(null)), { nil: undefined });
  const meta = fc.oneof(fc.constant(META), fc.dictionary(fc.constantFrom(...Object.keys(META)), fc.jsonValue()));
  const params = fc.oneof(fc.record({ name: fc.jsonValue(), _meta: meta }), fc.jsonValue());
  const message = fc.record({ jsonrpc: fc.constant("2.0"), id, method, params }, { requiredKeys: ["jsonrpc"] });
  const body = fc.oneof(message, fc.array(message, { maxLength: 3 }), fc.jsonValue());
  const headers = fc.constantFrom({}, session, MODERN, { ...MODERN, ...session });
  const check = fc.asyncProperty(body, headers, async (sent, given) => {
    const response = await post(mcp, JSON.stringify(sent), { headers: { ...given } });
    const text = await response.text();
    expect([response.status < 500, text.includes("-32603")]).toEqual([true, false]);
    if (response.status >= 400) expect(JSON.parse(text)).toMatchObject({ jsonrpc: "2.0", error: {} });
  });
  await fc.assert(check, seeded("MCP bodies", 400));
  expect(mcp.api.defects).toEqual([]);
});

test("GET, DELETE and everything else belong to sessions", async () => {
  for (const method of ["GET", "DELETE", "PUT", "OPTIONS"]) {
    const response = await mcp.api.http("/mcp", { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
  }
});

test("a group, a server, and none", async () => {
  await modern(mcp, "tools/list", {}, { path: "/mcp?group=dev" });
  expect(mcp.selections.at(-1)).toEqual({ group: "dev", allow: undefined });
  expect((await error(await modern(mcp, "tools/list", {}, { path: "/mcp?group=nobody" }))).status).toBe(404);
  expect((await modern(mcp, "tools/list", {}, { path: "/servers/files/mcp" })).status).toBe(200);
  expect((await error(await modern(mcp, "tools/list", {}, { path: "/servers/none/mcp" }))).status).toBe(404);
});

test("a tool says which arguments a header repeats, and a call in which the two differ is refused", async () => {
  const asked = () => mcp.upstream.exchanges.filter(({ method }) => method === "tools/list").length;
  const echo = async (text: unknown, header: string | undefined) => {
    const headers: Record<string, string> = { ...MODERN };
    if (header !== undefined) headers["Mcp-Param-Text"] = header;
    return await post(mcp, enveloped(call("echo", { text })), { token, headers });
  };
  // Of whom no list is known yet.
  const { token } = await new TokenClient({ kind: "unix", path: mcp.api.socket }).create({ name: "headers" });
  const before = asked();
  expect((await echo("a", "a")).status).toBe(200);
  expect(asked()).toBe(before + 1);
  for (const [text, header] of [
    ["a", undefined],
    ["a", "b"],
    ["Hello", "=?base64?SGVsbG8?="],
    ["Hello", "=?base64?SGVs!!!bG8=?="],
  ] as const) {
    expect(await error(await echo(text, header))).toMatchObject({ status: 400, code: -32020 });
  }
  for (const [text, header] of [
    ["Grüße", encoded("Grüße")],
    ["SGVsbG8=", "SGVsbG8="],
    [null, undefined],
    [undefined, "whatever"],
  ] as const) {
    expect((await echo(text, header)).status).toBe(200);
  }
  expect(asked()).toBe(before + 1);
  expect(await (await modern(mcp, "tools/list", {}, { token })).text()).toContain("x-mcp-header");
});

test("a subscription is a stream, and ends when its client hangs up", async () => {
  const hangUp = new AbortController();
  const asked = { notifications: { toolsListChanged: true } };
  const response = await modern(mcp, "subscriptions/listen", asked, { signal: hangUp.signal });
  const stream = events(response);
  const first = await stream.next();
  expect(JSON.parse(first.value?.data ?? "").method).toBe("notifications/subscriptions/acknowledged");
  const listen = mcp.upstream.listens.at(-1);
  listen?.hear({ method: "notifications/tools/list_changed", params: {} });
  expect(JSON.parse((await stream.next()).value?.data ?? "").method).toBe("notifications/tools/list_changed");
  hangUp.abort();
  await until("the end of the subscription", () => listen?.signal.aborted, 5_000);
});

test("the SDK's client of 2.x negotiates this era, and calls", async () => {
  const client = new Client({ name: "c", version: "1" }, { versionNegotiation: { mode: "auto" } });
  const requestInit = { headers: { authorization: `Bearer ${mcp.api.token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${mcp.url}/mcp`), { requestInit }));
  expect(client.getDiscoverResult()).toBeDefined();
  expect((await client.listTools()).tools.length).toBe(5);
  const seen: number[] = [];
  const onprogress = ({ progress }: { progress: number }) => void seen.push(progress);
  await client.callTool({ name: "steps", arguments: { steps: 3 } }, { onprogress });
  expect(seen.slice(0, 2)).toEqual([1, 2]);
  await client.close();
});
