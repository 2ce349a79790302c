/** Who is let in, to what, how often; and who is put out again. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import type { TokenBodyInput } from "../../../src/model/tokens.ts";
import { TokenClient } from "../../../src/api/client/tokens.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";
import { call, events, initialize, type McpUnderTest, META, modern, post, startMcp } from "./support.ts";

let mcp: McpUnderTest;
let tokens: TokenClient;
beforeAll(async () => {
  mcp = await startMcp("access");
  tokens = new TokenClient({ kind: "unix", path: mcp.api.socket });
});
afterAll(() => mcp[Symbol.asyncDispose]());

const make = async (body: Omit<TokenBodyInput, "name">, name = `t${crypto.randomUUID().slice(0, 8)}`) => ({
  name,
  token: (await tokens.create({ name, ...body })).token,
});
const names = async (response: Response) =>
  ((await response.json()) as { result: { tools: { name: string }[] } }).result.tools.map(({ name }) => name);
const refusal = async (response: Response) => {
  const body = (await response.json()) as { jsonrpc: string; error: { code: number } };
  return [response.status, body.jsonrpc, typeof body.error.code];
};

test("without a token, and with a wrong one: 401 in JSON-RPC, and no word of it", async () => {
  for (const token of ["", "hunter2-hunter2", "a.b.c"]) {
    const response = await post(mcp, call("echo"), { token });
    expect(response.headers.get("www-authenticate")).toStartWith("Bearer");
    const text = await response.text();
    expect([response.status, text.includes("hunter2")]).toEqual([401, false]);
    expect(JSON.parse(text).jsonrpc).toBe("2.0");
  }
});

describe("web pages", () => {
  test.each([
    ["another origin", { origin: "http://evil.example" }],
    ["a page from a file", { origin: "null" }],
    ["a rebound name", { host: "evil.example" }],
  ])("%s: 403", async (_what, headers) => {
    for (const path of ["/mcp", "/sse", "/messages", "/servers/files/mcp"]) {
      const response = await post(mcp, call("echo"), { headers, path });
      expect(response.headers.get("access-control-allow-origin")).toBeNull();
      expect(await refusal(response)).toEqual([403, "2.0", "number"]);
    }
  });
});

test("the manager's own socket needs no token", async () => {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-11-25" },
  });
  const response = await fetch("http://localhost/mcp", { method: "POST", headers, body, unix: mcp.api.socket });
  expect(response.status).toBe(200);
});

describe("an access token", () => {
  test("opens MCP, and nothing of REST", async () => {
    const { token } = await make({});
    expect((await modern(mcp, "tools/list", {}, { token })).status).toBe(200);
    expect(mcp.selections.at(-1)?.allow).toBeUndefined();
    const headers = { authorization: `Bearer ${token}` };
    for (const path of ["/servers", "/tokens", "/sessions", "/metrics"]) {
      expect((await fetch(`${mcp.url}${path}`, { headers })).status).toBe(401);
    }
  });

  test("of servers reaches these, and what it may is the gateway's to know", async () => {
    const files = await make({ servers: ["files"] });
    const other = await make({ servers: ["other"], tools: ["more__*"] });
    const at = (token: string) => modern(mcp, "tools/list", {}, { token, path: "/servers/files/mcp" });
    expect((await at(files.token)).status).toBe(200);
    expect(await refusal(await at(other.token))).toEqual([403, "2.0", "number"]);
    await modern(mcp, "tools/list", {}, { token: other.token });
    expect(mcp.selections.at(-1)?.allow).toEqual(["other", "more__*"]);
  });

  test("of tools: others are neither listed nor called, and there are no prompts and resources", async () => {
    const { token } = await make({ tools: ["files__e*", "files__big"] });
    const at = { token, path: "/servers/files/mcp" };
    expect(await names(await modern(mcp, "tools/list", {}, at))).toEqual(["echo", "big"]);
    expect((await modern(mcp, "tools/call", { name: "echo", arguments: { text: "a" } }, at)).status).toBe(200);
    const refused = await modern(mcp, "tools/call", { name: "steps" }, at);
    expect(((await refused.json()) as { error: { code: number } }).error.code).toBe(-32602);
    expect((await modern(mcp, "resources/list", {}, at)).status).toBe(404);
  });

  test("that is read-only: tools that do not say so are neither listed nor called", async () => {
    const { token } = await make({ readOnly: true });
    // Called before anything was listed: the annotation is looked up.
    const refused = await modern(mcp, "tools/call", { name: "steps" }, { token });
    expect(((await refused.json()) as { error: { code: number } }).error.code).toBe(-32602);
    expect((await modern(mcp, "tools/call", { name: "echo", arguments: { text: "a" } }, { token })).status).toBe(200);
    expect(await names(await modern(mcp, "tools/list", {}, { token }))).toEqual(["echo"]);
  });

  test("is listed with its last use, never with itself, and its name is taken", async () => {
    const { name, token } = await make({ expires: "30d" });
    await modern(mcp, "tools/list", {}, { token });
    const listed = await tokens.list();
    const found = listed.find((one) => one.name === name);
    expect(found?.usedAt).toBeGreaterThan(Date.now() - 60_000);
    expect((found?.expiresAt ?? 0) - (found?.createdAt ?? 0)).toBe(30 * 86_400_000);
    expect(JSON.stringify(listed)).not.toContain(token.slice(8));
    expect(await rejection(tokens.create({ name }))).toMatchObject({ kind: "conflict" });
    expect(await rejection(tokens.revoke(`${name}x`))).toMatchObject({
      kind: "not-found",
      hint: `Did you mean ${name}?`,
    });
  });

  test("that is revoked ends its sessions, streams and calls at once", async () => {
    const { name, token } = await make({});
    const headers = await initialize(mcp, "2025-11-25", { token });
    const listening = await fetch(`${mcp.url}/mcp`, { headers: { authorization: `Bearer ${token}`, ...headers } });
    const calling = await post(mcp, call("later", {}, 2), { headers, token });
    const asked = mcp.upstream.exchanges.at(-1);
    const subscribed = await modern(
      mcp,
      "subscriptions/listen",
      { notifications: { toolsListChanged: true } },
      { token },
    );
    await tokens.revoke(name);
    // Each ends by itself; a stream that goes on would never be read to its end.
    await Promise.all([listening, calling, subscribed].map((response) => response.text()));
    expect(asked?.signal.aborted).toBeTrue();
    expect((await post(mcp, call("echo"), { headers, token })).status).toBe(401);
    // Somebody who finds the session's id has nothing of it, either.
    expect((await post(mcp, call("echo"), { headers })).status).toBe(404);
  });

  test("cannot use a session of another principal", async () => {
    const [mine, theirs] = [await make({}), await make({})];
    const headers = await initialize(mcp, "2025-11-25", { token: mine.token });
    for (const method of ["GET", "DELETE"]) {
      const init = { method, headers: { authorization: `Bearer ${theirs.token}`, ...headers } };
      expect((await fetch(`${mcp.url}/mcp`, init)).status).toBe(404);
    }
    expect((await post(mcp, call("echo"), { headers, token: theirs.token })).status).toBe(404);
    expect((await post(mcp, call("echo"), { headers, token: mine.token })).status).toBe(200);
  });
});

test.each([
  [{ name: "UPPER" }],
  [{ name: "a", servers: ["../x"] }],
  [{ name: "a", tools: ["x y"] }],
  [{ name: "a", tools: ["*x*"] }],
  [{ name: "a", tools: ["echo"] }],
  [{ name: "a", servers: ["files__echo"] }],
  [{ name: "a", servers: ["toolset:none"] }],
  [{ name: "a", expires: "1s" }],
  [{ name: "a", admin: true }],
])("a token that cannot be: %j", async (body) => {
  expect((await mcp.api.post("/tokens", body)).status).toBe(422);
});

describe("limits", () => {
  test("requests a second, for each principal by itself", async () => {
    await using limited = await startMcp("rate", { limits: { rate: 0.5, burst: 3 } });
    const client = new TokenClient({ kind: "unix", path: limited.api.socket });
    const { token } = await client.create({ name: "other" });
    const statuses: number[] = [];
    for (let n = 0; n < 4; n += 1) statuses.push((await modern(limited, "tools/list")).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    const refused = await modern(limited, "tools/list");
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refusal(refused)).toEqual([429, "2.0", "number"]);
    expect((await modern(limited, "tools/list", {}, { token })).status).toBe(200);
  });

  test("a batch is as many requests as there are in it", async () => {
    await using limited = await startMcp("batches", { limits: { rate: 0.5, burst: 10 } });
    const headers = await initialize(limited, "2025-03-26");
    const batch = Array.from({ length: 20 }, (_, id) => call("echo", {}, id));
    const answers = (await (await post(limited, batch, { headers })).json()) as unknown[];
    expect(answers).toHaveLength(20);
    const refused = await post(limited, call("echo"), { headers });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(20);
  });

  test("requests at once; those that have ended do not count", async () => {
    await using limited = await startMcp("concurrent", { limits: { concurrent: 2 } });
    const calls = [1, 2].map(() => modern(limited, "tools/call", { name: "later" }));
    await until("both calls", () => limited.upstream.calls === 2, 5_000);
    expect((await modern(limited, "tools/list")).status).toBe(429);
    limited.release("done");
    for (const response of await Promise.all(calls)) expect(response.status).toBe(200);
    for (let n = 0; n < 5; n += 1) {
      expect((await post(limited, "{")).status).toBe(400);
      expect((await modern(limited, "no/such")).status).toBe(404);
    }
    const headers = await initialize(limited);
    for (let n = 0; n < 5; n += 1) {
      const response = await post(limited, call("steps", { steps: 15 }, n), { headers });
      expect((await Array.fromAsync(events(response))).length).toBeGreaterThan(0);
    }
  });

  test("requests a second on a WebSocket, too", async () => {
    await using limited = await startMcp("sockets", { limits: { rate: 0.5, burst: 3 }, webSocket: true });
    const headers = { authorization: `Bearer ${limited.api.token}` };
    const socket = new WebSocket(`${limited.url.replace("http", "ws")}/mcp/ws`, {
      protocols: ["mcp"],
      headers,
    } as never);
    const answers: { id: number; error?: { data: { kind: string } } }[] = [];
    socket.onmessage = ({ data }) => void answers.push(JSON.parse(String(data)));
    await new Promise((resolve) => (socket.onopen = resolve));
    const params = { _meta: META };
    for (const id of [1, 2, 3]) socket.send(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/list", params }));
    await until("the answers", () => answers.length === 3, 5_000);
    // To open it was the first of the three.
    const refused = answers.filter(({ error }) => error?.data.kind === "exhausted");
    expect(refused.map(({ id }) => id)).toEqual([3]);
    socket.close();
  });

  test("a header that is too long ends the connection, and nobody else's", async () => {
    const socket = connect(Number(new URL(mcp.url).port), "127.0.0.1");
    socket.write(`POST /mcp HTTP/1.1\r\nhost: localhost\r\nmcp-name: ${"x".repeat(20_000)}`);
    const ended = Promise.withResolvers<string>();
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk));
    socket.on("error", () => ended.resolve("cut"));
    socket.on("close", () => ended.resolve(answer));
    expect(await ended.promise).toStartWith("HTTP/1.1 431 ");
    expect((await modern(mcp, "tools/list")).status).toBe(200);
  });
});

test.each(["/mcp", "/servers/files/mcp", "/servers", "*", "http:", "//"])(
  "a request of HTTP/1.0 for %s without a Host: a short refusal",
  async (path) => {
    const { hostname, port } = new URL(mcp.url);
    const said = Promise.withResolvers<string>();
    let text = "";
    const data = (_: unknown, chunk: Buffer) => void (text += chunk);
    const close = () => said.resolve(text);
    const socket = await Bun.connect({ hostname, port: Number(port), socket: { data, close } });
    socket.write(`POST ${path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n`);
    expect(await said.promise).toStartWith("HTTP/1.1 400 ");
    expect(text.length).toBeLessThan(500);
  },
);
