/** Requests of modern clients, message by message. */
import { expect, test } from "bun:test";
import { Json, type Question, RpcFault } from "../../../src/gateway/exchange.ts";
import { ModernDoor } from "../../../src/gateway/clients/modern.ts";
import { until } from "../../support/until.ts";
import { modern, RawClient, seal } from "./channel.ts";
import { CAPABILITIES, FakeUpstream, result, text } from "./fake.ts";

const never = new Promise<never>(() => {});
const FORM: Question = { method: "elicitation/create", params: { message: "Colour?", mode: "form" } };
const ABLE = { elicitation: {}, sampling: {}, roots: {} };

test("server/discover says what the server is, without what only the legacy era has", async () => {
  const extensions = { "io.modelcontextprotocol/ui": {}, "com.example/odd": {} };
  const upstream = new FakeUpstream("legacy", () => never, { ...CAPABILITIES, tasks: {}, extensions });
  await using client = new RawClient(upstream);
  expect((await client.request("server/discover", modern())).result).toEqual({
    resultType: "complete",
    supportedVersions: ["2026-07-28"],
    capabilities: { ...CAPABILITIES, extensions: { "io.modelcontextprotocol/ui": {} } },
    instructions: "Be kind",
    ttlMs: 0,
    cacheScope: "private",
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "fake", version: "1" } },
  });
});

test("an envelope that lacks something is refused, another version with those that are known", async () => {
  await using client = new RawClient(new FakeUpstream("modern", () => never));
  const key = (name: string) => `io.modelcontextprotocol/${name}`;
  const wrong = [
    { [key("protocolVersion")]: "2026-07-28" },
    { [key("clientCapabilities")]: {} },
    { ...modern()._meta, [key("logLevel")]: "loud" },
    { ...modern()._meta, [key("clientInfo")]: "me" },
  ];
  for (const _meta of wrong) expect((await client.request("tools/list", { _meta })).error?.code).toBe(-32602);
  const other = { ...modern()._meta, [key("protocolVersion")]: "2030-01-01" };
  expect((await client.request("tools/list", { _meta: other })).error).toMatchObject({
    code: -32022,
    data: { supported: ["2026-07-28"], requested: "2030-01-01" },
  });
});

test("methods of the legacy era do not exist, although the same line serves it", async () => {
  await using client = new RawClient(new FakeUpstream("legacy", () => never));
  await client.initialize();
  for (const method of [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/get",
  ]) {
    expect((await client.request(method, modern())).error?.code).toBe(-32601);
  }
});

test("the server sees no envelope, and a legacy one's result gets what the modern era demands", async () => {
  const upstream = new FakeUpstream("legacy", () =>
    result("legacy", { tools: [{ name: "x", execution: {}, inputSchema: {} }] }),
  );
  await using client = new RawClient(upstream);
  await client.request("server/discover", modern());
  const answer = await client.request("tools/list", modern({ cursor: "" }, { roots: {}, tasks: {} }, { vendor: 1 }));
  expect(answer.result).toEqual({
    tools: [{ name: "x", inputSchema: {} }],
    resultType: "complete",
    ttlMs: 0,
    cacheScope: "private",
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "fake", version: "1" } },
  });
  expect(upstream.exchanges[0]).toMatchObject({
    params: { cursor: "", _meta: { vendor: 1 } },
    capabilities: { roots: {} },
  });
  expect(upstream.exchanges[0]?.capabilities).toEqual({ roots: {} });
  expect(upstream.clients).toHaveLength(1);
});

test("a modern server's result passes as its text; a type that is left out means complete, another one is refused", async () => {
  const odd = '{"resultType":"complete","content":[],  "n":1e2}';
  const upstream = new FakeUpstream("modern", ({ params }) => {
    if (params.name === "odd") return { kind: "result", era: "modern", result: new Json(odd) };
    if (params.name === "task") return result("modern", { resultType: "task" });
    return result("modern", { content: [{ type: "text", text: '"resultType":"complete"' }] });
  });
  const door = new ModernDoor(upstream, { seal, name: "fake" });
  const caller = { principal: "p", emit: () => {}, signal: new AbortController().signal };
  const ask = (name: string) => door.handle({ id: 1, method: "tools/call", params: modern({ name }) }, caller);
  expect((await ask("odd"))?.text).toBe(`{"jsonrpc":"2.0","id":1,"result":${odd}}`);
  expect(JSON.parse((await ask("plain"))?.text ?? "").result.resultType).toBe("complete");
  expect((await ask("task"))?.code).toBe(-32052);
  await door.close();
});

test("progress and log messages come only where they are asked for, and only while the request runs", async () => {
  const upstream = new FakeUpstream("modern", (exchange) => {
    for (const progress of [1, 1, 2]) exchange.progress?.({ progress });
    exchange.log?.tell({ level: "debug", data: "dropped" });
    exchange.log?.tell({ level: "error", data: "kept" });
    return text("modern", "done");
  });
  await using client = new RawClient(upstream);
  await client.request("tools/call", modern({ name: "x" }));
  expect(client.messages).toHaveLength(1);
  await client.request(
    "tools/call",
    modern({ name: "x" }, {}, { progressToken: 5, "io.modelcontextprotocol/logLevel": "warning" }),
  );
  expect(client.messages.slice(1, -1).map(({ method, params }) => [method, params.progress ?? params.data])).toEqual([
    ["notifications/progress", 1],
    ["notifications/progress", 2],
    ["notifications/message", "kept"],
  ]);
});

test("a cancelled request aborts its exchange and is not answered", async () => {
  const upstream = new FakeUpstream("modern", () => never);
  await using client = new RawClient(upstream);
  const id = client.ask("tools/call", modern({ name: "x" }));
  await until("the exchange", () => upstream.exchanges[0]);
  client.notify("notifications/cancelled", { requestId: id });
  expect(upstream.exchanges[0]?.signal.aborted).toBe(true);
  expect(client.messages).toEqual([]);
});

test("what is listened to is acknowledged first, carries the id of the request, and ends with a result", async () => {
  const upstream = new FakeUpstream("legacy", () => never);
  upstream.grant = ({ toolsListChanged }) => (toolsListChanged ? { toolsListChanged } : {});
  await using client = new RawClient(upstream);
  const id = client.ask(
    "subscriptions/listen",
    modern({ notifications: { toolsListChanged: true, promptsListChanged: false, resourceSubscriptions: ["a://1"] } }),
  );
  const listen = await until("the listen", () => upstream.listens[0]);
  expect(listen.filter).toEqual({ toolsListChanged: true, resourceSubscriptions: ["a://1"] });
  listen.hear({ method: "notifications/tools/list_changed", params: { _meta: { vendor: 1 } } });
  const _meta = { "io.modelcontextprotocol/subscriptionId": id };
  await client.heard("notifications/tools/list_changed");
  expect(client.messages).toEqual([
    {
      jsonrpc: "2.0",
      method: "notifications/subscriptions/acknowledged",
      params: { notifications: { toolsListChanged: true }, _meta },
    },
    { jsonrpc: "2.0", method: "notifications/tools/list_changed", params: { _meta: { vendor: 1, ..._meta } } },
  ]);
  listen.ended();
  expect((await client.answered(id)).result).toEqual({ resultType: "complete", _meta });
  const second = client.ask("subscriptions/listen", modern({ notifications: { toolsListChanged: true } }));
  const again = await until("the second listen", () => upstream.listens[1]);
  client.notify("notifications/cancelled", { requestId: second });
  expect(again.signal.aborted).toBe(true);
});

test("a listen without a filter is refused; one that is granted nothing ends at once", async () => {
  await using client = new RawClient(new FakeUpstream("modern", () => never));
  expect((await client.request("subscriptions/listen", modern())).error?.code).toBe(-32602);
  const ended = await client.request("subscriptions/listen", modern({ notifications: {} }));
  expect(ended.result?.resultType).toBe("complete");
  expect(client.messages.at(-2)).toMatchObject({ method: "notifications/subscriptions/acknowledged" });
});

/** Asks twice at the same time, then once more. */
function asking() {
  return new FakeUpstream("legacy", async (exchange) => {
    const ask = (question: Question) =>
      exchange.ask?.(question, exchange.signal).catch((error: RpcFault) => ({ error: error.error.message }));
    const both = await Promise.all([ask(FORM), ask({ method: "roots/list", params: {} })]);
    exchange.progress?.({ progress: 1 });
    const last = await ask({
      method: "elicitation/create",
      params: { message: "Sure?", elicitationId: "e", _meta: {} },
    });
    return text("legacy", JSON.stringify([...both, last]));
  });
}

test("a legacy server's questions are rounds of one call that goes on waiting", async () => {
  const upstream = asking();
  await using client = new RawClient(upstream);
  const first = (await client.request("tools/call", modern({ name: "x", arguments: { a: 1 } }, ABLE))).result;
  expect(first).toMatchObject({
    resultType: "input_required",
    inputRequests: { q1: FORM, q2: { method: "roots/list", params: {} } },
  });
  const retry = (state: unknown, inputResponses: unknown, meta = {}) =>
    client.request(
      "tools/call",
      modern({ arguments: { a: 1 }, name: "x", requestState: state, inputResponses }, ABLE, meta),
    );
  // What is not answered is asked again, what was not asked is ignored.
  const second = (await retry(first?.requestState, { q1: { action: "accept" }, q9: {} })).result;
  expect(Object.keys(second?.inputRequests)).toEqual(["q2"]);
  const third = (await retry(second?.requestState, { q2: { roots: [] } })).result;
  expect(third?.inputRequests).toEqual({ q3: { method: "elicitation/create", params: { message: "Sure?" } } });
  const last = (await retry(third?.requestState, { q3: { action: "cancel" } })).result;
  expect(JSON.parse(last?.content[0].text)).toEqual([{ action: "accept" }, { roots: [] }, { action: "cancel" }]);
  expect(upstream.exchanges).toHaveLength(1);
  // Every state was good for one use.
  for (const state of [first, second, third]) {
    expect((await retry(state?.requestState, {})).error?.code).toBe(-32602);
  }
});

test("a state is refused to another principal, for other arguments, another tool, another method", async () => {
  const upstream = asking();
  const door = new ModernDoor(upstream, { seal, name: "fake" });
  const call = async (principal: string, method: string, params: Record<string, unknown>) => {
    const caller = { principal, emit: () => {}, signal: new AbortController().signal };
    return JSON.parse((await door.handle({ id: 1, method, params: modern(params, ABLE) }, caller))?.text ?? "null");
  };
  const params = { name: "x", arguments: { a: 1 } };
  const { requestState } = (await call("ann", "tools/call", params)).result;
  const answer = { inputResponses: { q1: { action: "accept" }, q2: { roots: [] } }, requestState };
  const code = async (...[principal, method, other]: Parameters<typeof call>) =>
    (await call(principal, method, { ...answer, ...other })).error?.code;
  expect(await code("bob", "tools/call", params)).toBe(-32602);
  expect(await code("ann", "tools/call", { ...params, arguments: { a: 2 } })).toBe(-32602);
  expect(await code("ann", "tools/call", { ...params, name: "y" })).toBe(-32602);
  expect(await code("ann", "prompts/get", params)).toBe(-32602);
  expect((await call("ann", "tools/call", { ...params, ...answer })).result.resultType).toBe("input_required");
  await door.close();
});

test("a call that nobody comes back for is ended, and so are those beyond the bound", async () => {
  const upstream = asking();
  await using client = new RawClient(upstream);
  const answers = await Promise.all(
    Array.from({ length: 9 }, () => client.request("tools/call", modern({ name: "x" }, ABLE))),
  );
  const refused = answers.filter(({ error }) => error);
  expect(refused.map(({ error }) => error?.code)).toEqual([-32029]);
  expect(upstream.exchanges.filter(({ signal }) => signal.aborted)).toHaveLength(1);
  await client.channel.close();
  expect(upstream.exchanges.filter(({ signal }) => signal.aborted)).toHaveLength(9);
});

test("a suspended call reports to the round that it is attached to, and ends with that round's cancellation", async () => {
  const upstream = asking();
  await using client = new RawClient(upstream);
  const params = { name: "x" };
  const first = (await client.request("tools/call", modern(params, ABLE, { progressToken: "one" }))).result;
  const inputResponses = { q1: { action: "accept" }, q2: { roots: [] } };
  const retry = { ...params, inputResponses, requestState: first?.requestState };
  const second = (await client.request("tools/call", modern(retry, ABLE, { progressToken: "two" }))).result;
  expect((await client.heard("notifications/progress")).params?.progressToken).toBe("two");
  const third = client.ask("tools/call", modern({ ...params, requestState: second?.requestState }, ABLE));
  client.notify("notifications/cancelled", { requestId: third });
  await until("the end of the call", () => upstream.exchanges[0]?.signal.aborted);
});

test("a question that the client has not declared is not put to it", async () => {
  await using client = new RawClient(asking());
  const answer = await client.request("tools/call", modern({ name: "x" }, {}));
  expect(answer.result?.content[0].text).toContain("has not declared elicitation");
});

test("a question that its server takes back is not asked again", async () => {
  const stop = new AbortController();
  const upstream = new FakeUpstream("legacy", async (exchange) => {
    await exchange.ask?.(FORM, stop.signal).catch(() => {});
    return text("legacy", "went on without you");
  });
  await using client = new RawClient(upstream);
  const first = (await client.request("tools/call", modern({ name: "x" }, ABLE))).result;
  stop.abort();
  const retry = { name: "x", requestState: first?.requestState, inputResponses: { q1: { action: "accept" } } };
  expect((await client.request("tools/call", modern(retry, ABLE))).result?.content[0].text).toBe("went on without you");
});

test("a modern server's own rounds pass through, its state under our seal", async () => {
  const upstream = new FakeUpstream("modern", ({ retry }) => {
    if (retry?.responses.colour) return text("modern", JSON.stringify(retry));
    const value = { resultType: "input_required", inputRequests: { colour: FORM }, requestState: "opaque ✓", x: 1 };
    return { kind: "input-required", requests: { colour: FORM }, state: "opaque ✓", result: Json.of(value) };
  });
  await using client = new RawClient(upstream);
  const first = (await client.request("tools/call", modern({ name: "x" }, ABLE))).result;
  expect(first).toMatchObject({ resultType: "input_required", inputRequests: { colour: FORM }, x: 1 });
  expect(first?.requestState).not.toContain("opaque");
  const retry = { name: "x", requestState: first?.requestState, inputResponses: { colour: { action: "accept" } } };
  const last = (await client.request("tools/call", modern(retry, ABLE))).result;
  expect(JSON.parse(last?.content[0].text)).toEqual({ responses: retry.inputResponses, state: "opaque ✓" });
  expect((await client.request("tools/call", modern({ name: "x" }, {}))).error?.code).toBe(-32603);
  const forged = { ...retry, requestState: "opaque ✓" };
  expect((await client.request("tools/call", modern(forged, ABLE))).error?.code).toBe(-32602);
});

test("the 65th request in flight is refused", async () => {
  await using client = new RawClient(new FakeUpstream("modern", () => never));
  for (let count = 0; count < 64; count++) client.ask("tools/call", modern({ name: "x" }));
  expect((await client.request("tools/call", modern({ name: "x" }))).error?.code).toBe(-32029);
});
