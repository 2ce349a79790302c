/** The eras before 2026-07-28 over HTTP: sessions, plain answers and streams, connections that break. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { random } from "../../support/ordeal.ts";
import { seeded } from "../../support/seed.ts";
import { until } from "../../support/until.ts";
import { call, events, initialize, type McpUnderTest, post, startMcp, wordsOf } from "./support.ts";

let mcp: McpUnderTest;
beforeAll(async () => {
  mcp = await startMcp("legacy");
});
afterAll(() => mcp[Symbol.asyncDispose]());

const listen = (headers: Record<string, string>, signal?: AbortSignal) =>
  mcp.api.http("/mcp", { headers: { accept: "text/event-stream", ...headers }, ...(signal ? { signal } : {}) });

test("a session: initialize, a call in plain JSON, DELETE, 404", async () => {
  const headers = await initialize(mcp);
  expect(headers["mcp-session-id"]).toMatch(/^[\w-]{32}$/);
  const response = await post(mcp, call("echo", { text: "hello" }), { headers });
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(wordsOf(await response.json())).toBe("hello");
  expect((await mcp.api.http("/mcp", { method: "DELETE", headers })).status).toBe(204);
  expect((await post(mcp, call("echo"), { headers })).status).toBe(404);
  expect((await mcp.api.http("/mcp", { method: "DELETE", headers })).status).toBe(404);
});

test("without a session, with one that never was, and with one of another path", async () => {
  expect((await post(mcp, call("echo"))).status).toBe(400);
  expect((await post(mcp, call("echo"), { headers: { "mcp-session-id": "nobody" } })).status).toBe(404);
  const headers = await initialize(mcp);
  expect((await post(mcp, call("echo"), { headers, path: "/servers/files/mcp" })).status).toBe(404);
});

test("MCP-Protocol-Version has to be one that is known, or absent", async () => {
  const headers = await initialize(mcp, "2025-06-18");
  const other = (version: string) => ({ ...headers, "mcp-protocol-version": version });
  expect((await post(mcp, call("echo"), { headers: other("2025-03-26") })).status).toBe(200);
  expect((await post(mcp, call("echo"), { headers: other("banana") })).status).toBe(400);
  const { "mcp-session-id": session } = headers;
  expect((await post(mcp, call("echo"), { headers: { "mcp-session-id": session } })).status).toBe(200);
});

test("batches in 2025-03-26 only", async () => {
  const batch = [call("echo", { text: "a" }, 1), call("echo", { text: "b" }, "1")];
  const later = await initialize(mcp);
  expect((await post(mcp, batch, { headers: later })).status).toBe(400);
  const headers = await initialize(mcp, "2025-03-26");
  const answers = (await (await post(mcp, batch, { headers })).json()) as { id: unknown }[];
  expect(answers.map((one) => [one.id, wordsOf(one)])).toEqual([
    [1, "a"],
    ["1", "b"],
  ]);
  const told = await post(mcp, [{ jsonrpc: "2.0", method: "notifications/roots/list_changed" }], { headers });
  expect(told.status).toBe(202);
  expect((await post(mcp, Array(101).fill(batch[0]), { headers })).status).toBe(400);
  expect((await post(mcp, [batch[0], 7], { headers })).status).toBe(400);
});

test("an id that is in use is refused, and the first one is answered", async () => {
  const headers = await initialize(mcp);
  const first = post(mcp, call("later", {}, 5), { headers });
  await until("the call", () => mcp.upstream.exchanges.at(-1)?.params.name === "later", 5_000);
  const second = await post(mcp, call("echo", {}, 5), { headers });
  expect([second.status, ((await second.json()) as { id: number }).id]).toEqual([400, 5]);
  mcp.release("first");
  expect(await (await first).text()).toContain("first");
});

test("a cancelled request ends its POST without an answer", async () => {
  const headers = await initialize(mcp);
  const asked = post(mcp, call("later", {}, 9), { headers });
  await until("the call", () => mcp.upstream.exchanges.at(-1)?.params.name === "later", 5_000);
  await post(mcp, { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 9 } }, { headers });
  expect(await (await asked).text()).not.toContain("result");
});

test("a longer call becomes a stream; when it breaks, nothing is lost and nothing comes twice", async () => {
  const headers = await initialize(mcp);
  const cut = new AbortController();
  const params = { name: "steps", arguments: { steps: 12 }, _meta: { progressToken: "t" } };
  const body = { jsonrpc: "2.0", id: 3, method: "tools/call", params };
  const response = await post(mcp, body, { headers, signal: cut.signal });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const got: string[] = [];
  let last = "";
  try {
    for await (const { id, data } of events(response)) {
      last = id ?? last;
      if (data !== "") got.push(data);
      if (got.length === 4) cut.abort();
    }
  } catch {
    // The connection was cut.
  }
  const resumed = await listen({ ...headers, "last-event-id": last });
  for await (const { id, data } of events(resumed)) {
    last = id ?? last;
    got.push(data);
  }
  const messages = got.map((data) => JSON.parse(data));
  expect(messages.map((one) => one.params?.progress ?? one.id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 3]);
  // And once more: the end of the stream, and nothing else.
  expect(await Array.fromAsync(events(await listen({ ...headers, "last-event-id": last })))).toEqual([]);
});

test("a call whose connection breaks before its first event can be resumed from the beginning", async () => {
  const headers = await initialize(mcp);
  const cut = new AbortController();
  const response = await post(mcp, call("later", {}, 4), { headers, signal: cut.signal });
  const first = await events(response).next();
  expect(first.value?.data).toBe("");
  cut.abort();
  mcp.release("after the cut");
  const rest = await Array.fromAsync(events(await listen({ ...headers, "last-event-id": first.value?.id ?? "" })));
  expect(rest.map(({ data }) => wordsOf(JSON.parse(data)))).toEqual(["after the cut"]);
});

test("cut at random, again and again: every event comes once, in order", async () => {
  const { seed } = seeded("cut streams", 1);
  const headers = await initialize(mcp);
  const next = random(seed);
  const calls = Array.from({ length: 12 }, async (_, id) => {
    const steps = 5 + Math.floor(next() * 15);
    const params = { name: "steps", arguments: { steps }, _meta: { progressToken: `t${id}` } };
    const body = { jsonrpc: "2.0", id: `c${id}`, method: "tools/call", params };
    const got: unknown[] = [];
    let last: string | undefined;
    while (got.at(-1) !== `c${id}`) {
      const cut = new AbortController();
      const enough = got.length + Math.floor(next() * 6);
      const response = last
        ? await listen({ ...headers, "last-event-id": last }, cut.signal)
        : await post(mcp, body, { headers, signal: cut.signal });
      try {
        for await (const event of events(response)) {
          last = event.id ?? last;
          const message = event.data === "" ? undefined : JSON.parse(event.data);
          if (message) got.push(message.params?.progress ?? message.id);
          if (got.length >= enough) cut.abort();
        }
      } catch {
        // The connection was cut.
      }
    }
    expect(got).toEqual([...Array.from({ length: steps }, (_, step) => step + 1), `c${id}`]);
  });
  await Promise.all(calls);
});

test("an event that nobody has sent is refused", async () => {
  const headers = await initialize(mcp);
  for (const id of ["7-3", "0-99", "x", "1-1-1"]) {
    expect((await listen({ ...headers, "last-event-id": id })).status).toBe(400);
  }
});

test("a question comes on the stream of its call, and its answer by POST", async () => {
  const headers = await initialize(mcp);
  const response = await post(mcp, call("ask", {}, 6), { headers });
  const stream = events(response);
  let question = { id: "", method: "" };
  while (question.method !== "elicitation/create") question = JSON.parse((await stream.next()).value?.data || "{}");
  const answer = { jsonrpc: "2.0", id: question.id, result: { action: "accept", content: { yes: true } } };
  expect((await post(mcp, answer, { headers })).status).toBe(202);
  expect(wordsOf(JSON.parse((await stream.next()).value?.data ?? ""))).toContain("accept");
});

test("what belongs to no request waits for the GET stream", async () => {
  const headers = await initialize(mcp);
  const heard = mcp.upstream.listens.at(-1);
  heard?.hear({ method: "notifications/tools/list_changed", params: {} });
  const cut = new AbortController();
  const stream = events(await listen(headers, cut.signal));
  const first = await stream.next();
  expect(JSON.parse(first.value?.data ?? "").method).toBe("notifications/tools/list_changed");
  cut.abort();
  heard?.hear({ method: "notifications/prompts/list_changed", params: {} });
  const again = events(await listen({ ...headers, "last-event-id": first.value?.id ?? "" }));
  expect(JSON.parse((await again.next()).value?.data ?? "").method).toBe("notifications/prompts/list_changed");
});

test("a client that reads nothing is cut at the bound, and its session goes on", async () => {
  const headers = await initialize(mcp);
  const slow = await listen(headers);
  const heard = mcp.upstream.listens.at(-1);
  const note = { method: "notifications/tools/list_changed", params: { padding: "x".repeat(100_000) } };
  for (let sent = 0; sent < 500; sent += 1) {
    heard?.hear(note);
    if (sent % 50 === 0) await Bun.sleep(1);
  }
  // 50 MB were sent; what comes is what the bound and the buffers of two sockets hold.
  let bytes = 0;
  try {
    for await (const chunk of slow.body ?? []) bytes += chunk.byteLength;
  } catch {
    // The connection was cut.
  }
  expect(bytes).toBeLessThan(25_000_000);
  // What was dropped is not passed over in silence.
  expect((await listen({ ...headers, "last-event-id": "0-0" })).status).toBe(400);
  expect((await post(mcp, call("echo", { text: "still here" }), { headers })).status).toBe(200);
});

test("one principal has 32 sessions: the one that was not used for longest makes room", async () => {
  const first = await initialize(mcp);
  const second = await initialize(mcp);
  for (let n = 0; n < 31; n += 1) {
    await initialize(mcp);
    await post(mcp, call("echo"), { headers: second });
  }
  expect((await post(mcp, call("echo"), { headers: first })).status).toBe(404);
  expect((await post(mcp, call("echo"), { headers: second })).status).toBe(200);
});

test("200 calls with the same ids from four clients are not crossed", async () => {
  const clients = await Promise.all([0, 1, 2, 3].map(() => initialize(mcp)));
  const asked = clients.flatMap((headers, client) =>
    Array.from({ length: 50 }, async (_, id) => {
      const text = `${client}/${id}`;
      const answer = (await (await post(mcp, call("echo", { text }, id), { headers })).json()) as { id: number };
      return [answer.id, wordsOf(answer)].join(" ") === `${id} ${text}`;
    }),
  );
  expect((await Promise.all(asked)).filter((right) => !right)).toEqual([]);
});

test("the SDK's client of 1.x: calls, progress, and a session that ends", async () => {
  const client = new Client({ name: "c", version: "1" });
  const requestInit = { headers: { authorization: `Bearer ${mcp.api.token}` } };
  const transport = new StreamableHTTPClientTransport(new URL(`${mcp.url}/mcp`), { requestInit });
  await client.connect(transport);
  expect((await client.listTools()).tools.length).toBe(5);
  const seen: number[] = [];
  const onprogress = ({ progress }: { progress: number }) => void seen.push(progress);
  await client.callTool({ name: "steps", arguments: { steps: 8 } }, undefined, { onprogress });
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  await transport.terminateSession();
  await client.close();
});
