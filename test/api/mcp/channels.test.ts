/** HTTP+SSE for old clients, and WebSocket where it is configured. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { TokenClient } from "../../../src/api/client/tokens.ts";
import { until } from "../../support/until.ts";
import { call, events, initialize, type McpUnderTest, META, post, startMcp, wordsOf } from "./support.ts";

let mcp: McpUnderTest;
let authorization: string;
beforeAll(async () => {
  mcp = await startMcp("channels", { webSocket: true });
  authorization = `Bearer ${mcp.api.token}`;
});
afterAll(() => mcp[Symbol.asyncDispose]());

test("the SDK's client of HTTP+SSE: calls, progress, and an end", async () => {
  for (const path of ["/sse", "/servers/files/sse"]) {
    const upstream = path === "/sse" ? mcp.upstream : mcp.files;
    const client = new Client({ name: "old", version: "1" });
    const requestInit = { headers: { authorization } };
    await client.connect(new SSEClientTransport(new URL(`${mcp.url}${path}`), { requestInit }));
    expect((await client.listTools()).tools.length).toBe(5);
    const seen: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => void seen.push(progress);
    await client.callTool({ name: "steps", arguments: { steps: 3 } }, undefined, { onprogress });
    expect(seen).toEqual([1, 2, 3]);
    const closed = upstream.closed;
    await client.close();
    await until("the end of the session", () => upstream.closed === closed + 1, 5_000);
  }
});

test("HTTP+SSE ends with the token that has opened it", async () => {
  const tokens = new TokenClient({ kind: "unix", path: mcp.api.socket });
  const { token } = await tokens.create({ name: "sse" });
  const stream = await fetch(`${mcp.url}/sse/`, { headers: { authorization: `Bearer ${token}` } });
  await tokens.revoke("sse");
  expect(await stream.text()).toStartWith("event: endpoint\n");
});

test("messages of nobody's session, of another principal's, and of none", async () => {
  const stream = events(await mcp.api.http("/sse"));
  const path = (await stream.next()).value?.data ?? "";
  expect(path).toMatch(/^\/messages\?sessionId=[\w-]{32}$/);
  const initialized = { jsonrpc: "2.0", id: 1, method: "initialize", params: { protocolVersion: "2024-11-05" } };
  const { token } = await new TokenClient({ kind: "unix", path: mcp.api.socket }).create({ name: "thief" });
  expect((await post(mcp, initialized, { path, token })).status).toBe(404);
  expect((await post(mcp, initialized, { path: "/messages" })).status).toBe(404);
  expect((await post(mcp, [initialized], { path })).status).toBe(400);
  expect((await post(mcp, initialized, { path })).status).toBe(202);
  expect(JSON.parse((await stream.next()).value?.data ?? "").result.protocolVersion).toBe("2024-11-05");
  await stream.return(undefined);
});

function open(path: string, token = mcp.api.token, protocols = ["mcp"]) {
  const socket = new WebSocket(`${mcp.url.replace("http", "ws")}${path}`, {
    protocols,
    headers: { authorization: `Bearer ${token}` },
  } as never);
  const messages: { id?: unknown; result?: unknown; method?: string }[] = [];
  const closed = Promise.withResolvers<number>();
  const opened = Promise.withResolvers<boolean>();
  socket.onmessage = ({ data }) => void messages.push(JSON.parse(String(data)));
  socket.onopen = () => opened.resolve(true);
  socket.onclose = ({ code }) => {
    opened.resolve(false);
    closed.resolve(code);
  };
  return { socket, messages, closed: closed.promise, opened: opened.promise };
}

test("WebSocket: both eras on one socket, and progress before the answer", async () => {
  const { socket, messages, opened, closed } = open("/mcp/ws");
  expect(await opened).toBeTrue();
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "ws", version: "1" } };
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }));
  await until("initialize", () => messages.some(({ id }) => id === 1), 5_000);
  socket.send(JSON.stringify(call("echo", { text: "old" }, 2)));
  const asked = { name: "steps", arguments: { steps: 2 }, _meta: { ...META, progressToken: "p" } };
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: "3", method: "tools/call", params: asked }));
  await until("the answers", () => messages.some(({ id }) => id === "3"), 5_000);
  expect(wordsOf(messages.find(({ id }) => id === 2))).toBe("old");
  expect(messages.filter(({ method }) => method === "notifications/progress").length).toBe(2);
  socket.close();
  await closed;
});

test("WebSocket: no token, no subprotocol, no such server, bytes, a token that is revoked", async () => {
  expect(await open("/mcp/ws", "wrong").opened).toBeFalse();
  expect(await open("/mcp/ws", mcp.api.token, []).opened).toBeFalse();
  expect(await open("/servers/none/mcp/ws").opened).toBeFalse();
  const bytes = open("/servers/files/mcp/ws");
  expect(await bytes.opened).toBeTrue();
  bytes.socket.send(new Uint8Array([1, 2, 3]));
  expect(await bytes.closed).toBe(1003);
  const tokens = new TokenClient({ kind: "unix", path: mcp.api.socket });
  const revoked = open("/mcp/ws", (await tokens.create({ name: "ws" })).token);
  expect(await revoked.opened).toBeTrue();
  await tokens.revoke("ws");
  expect(await revoked.closed).toBe(1008);
});

test("WebSocket has to be asked for", async () => {
  await using without = await startMcp("no-sockets");
  const response = await without.api.http("/mcp/ws", { headers: { upgrade: "websocket", connection: "upgrade" } });
  expect(response.status).toBe(404);
});

test("a manager that ends lets calls be answered, and ends what has no end", async () => {
  const ending = await startMcp("ending");
  const headers = await initialize(ending);
  const listening = await ending.api.http("/mcp", { headers });
  const old = await ending.api.http("/sse");
  const answer = post(ending, call("later", {}, 1), { headers });
  await until("the call", () => ending.upstream.exchanges.length > 0, 5_000);
  setTimeout(() => ending.release("in time"), 200);
  const { Deadline } = await import("../../../src/base/deadline.ts");
  const closed = ending.api.api.close(Deadline.in(5_000));
  expect(await (await answer).text()).toContain("in time");
  await Promise.all([listening.text(), old.text(), closed]);
  await ending[Symbol.asyncDispose]();
});
