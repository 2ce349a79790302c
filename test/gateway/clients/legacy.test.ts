/** The conversation with a legacy client, message by message. */
import { expect, test } from "bun:test";
import { Fault } from "../../../src/base/fault.ts";
import { RpcFault } from "../../../src/gateway/exchange.ts";
import { until } from "../../support/until.ts";
import { RawClient } from "./channel.ts";
import { FakeUpstream, result, text } from "./fake.ts";

const never = new Promise<never>(() => {});

test("each known version is answered as it was asked for, any other with the newest", async () => {
  for (const version of ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]) {
    await using client = new RawClient(new FakeUpstream("legacy", () => never));
    expect((await client.initialize(version)).result?.protocolVersion).toBe(version);
  }
  await using client = new RawClient(new FakeUpstream("modern", () => never));
  expect((await client.initialize("2099-01-01")).result).toEqual({
    protocolVersion: "2025-11-25",
    capabilities: DECLARED,
    serverInfo: { name: "fake", version: "1" },
    instructions: "Be kind",
  });
});

const DECLARED = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  completions: {},
  logging: {},
};

test("before initialize there is ping and nothing else; a second one is refused; modern methods do not exist", async () => {
  await using client = new RawClient(new FakeUpstream("modern", () => never));
  expect((await client.request("ping")).result).toEqual({});
  expect((await client.request("tools/list")).error?.code).toBe(-32600);
  await client.initialize();
  expect((await client.request("initialize", { protocolVersion: "2025-11-25" })).error?.code).toBe(-32600);
  for (const method of ["server/discover", "subscriptions/listen", "tasks/list", "tasks/get"]) {
    expect((await client.request(method)).error?.code).toBe(-32601);
  }
});

test("an initialize that failed may be repeated", async () => {
  const upstream = new FakeUpstream("legacy", () => never);
  const { attach } = upstream;
  upstream.attach = () => {
    throw new Fault("not-found", "there is no such group");
  };
  await using client = new RawClient(upstream);
  expect((await client.initialize()).error?.message).toContain("no such group");
  upstream.attach = attach;
  expect((await client.initialize()).result?.protocolVersion).toBe("2025-11-25");
});

test("progress only increases, and only until the answer", async () => {
  const upstream = new FakeUpstream("modern", (exchange) => {
    for (const progress of [1, 3, 2, 3, 4]) exchange.progress?.({ progress, total: 4 });
    setTimeout(() => exchange.progress?.({ progress: 9 }), 20);
    return text("modern", "done");
  });
  await using client = new RawClient(upstream);
  await client.initialize();
  await client.request("tools/call", { name: "x", _meta: { progressToken: "t", vendor: 1 } });
  await Bun.sleep(40);
  const steps = client.messages.filter(({ method }) => method === "notifications/progress");
  expect(steps.map(({ params }) => params)).toEqual(
    [1, 3, 4].map((progress) => ({ progressToken: "t", progress, total: 4 })),
  );
  expect(upstream.exchanges[0]?.params).toEqual({ name: "x", _meta: { vendor: 1 } });
});

test("a cancelled request aborts its exchange and is not answered", async () => {
  const upstream = new FakeUpstream("legacy", ({ signal }) => {
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(new Fault("cancelled", "it is off"))),
    );
  });
  await using client = new RawClient(upstream);
  await client.initialize();
  const id = client.ask("tools/call", { name: "x" });
  await until("the exchange", () => upstream.exchanges[0]);
  client.notify("notifications/cancelled", { requestId: id, reason: "changed my mind" });
  expect(upstream.exchanges[0]?.signal.aborted).toBe(true);
  await client.request("ping");
  expect(client.messages.some((message) => message.id === id)).toBe(false);
});

test("a question has an id of ours, and only its answer counts, once", async () => {
  const upstream = new FakeUpstream("legacy", async (exchange) => {
    const given = await exchange.ask?.(
      { method: "elicitation/create", params: { message: "May I?" } },
      exchange.signal,
    );
    return text("legacy", JSON.stringify(given));
  });
  await using client = new RawClient(upstream);
  await client.initialize("2025-11-25", { elicitation: {} });
  const id = client.ask("tools/call", { name: "x" });
  const question = await client.heard("elicitation/create");
  expect(question.id).toBe("gw-1");
  client.send({ jsonrpc: "2.0", id: "gw-2", result: { action: "accept" } });
  client.send({ jsonrpc: "2.0", id: 1, result: { action: "accept" } });
  client.send({ jsonrpc: "2.0", id: "gw-1", result: { action: "decline" } });
  client.send({ jsonrpc: "2.0", id: "gw-1", result: { action: "accept" } });
  expect((await client.answered(id)).result?.content[0].text).toBe('{"action":"decline"}');
});

test("a question that is taken back, or whose call is cancelled, is cancelled at the client", async () => {
  const stop = new AbortController();
  const upstream = new FakeUpstream("legacy", async (exchange) => {
    const why = await exchange
      .ask?.({ method: "roots/list", params: {} }, stop.signal)
      .catch((error: RpcFault) => error.message);
    return text("legacy", String(why));
  });
  await using client = new RawClient(upstream);
  await client.initialize("2025-11-25", { roots: {} });
  const id = client.ask("tools/call", { name: "x" });
  await client.heard("roots/list");
  stop.abort();
  expect((await client.answered(id)).result?.content[0].text).toContain("taken back");
  expect((await client.heard("notifications/cancelled")).params?.requestId).toBe("gw-1");
});

test("what the client has not declared, it is not asked; what its version does not have, it cannot declare", async () => {
  const upstream = new FakeUpstream("modern", async (exchange) => {
    const mode = exchange.params.name === "url" ? { mode: "url", url: "https://a.example" } : {};
    const asked = exchange.ask?.({ method: "elicitation/create", params: { message: "?", ...mode } }, exchange.signal);
    return text("modern", String(await asked?.catch((error: RpcFault) => error.error.code)));
  });
  const code = async (version: string, capabilities: unknown, name: string) => {
    await using client = new RawClient(upstream);
    await client.initialize(version, capabilities);
    return (await client.request("tools/call", { name })).result?.content[0].text;
  };
  expect(await code("2025-11-25", {}, "form")).toBe("-32601");
  expect(await code("2025-03-26", { elicitation: {} }, "form")).toBe("-32601");
  expect(await code("2025-06-18", { elicitation: { url: {} } }, "url")).toBe("-32601");
  expect(await code("2025-11-25", { elicitation: {} }, "url")).toBe("-32601");
});

test("tasks are carried through to a legacy server's own process only", async () => {
  const upstream = new FakeUpstream("legacy", () => result("legacy", { tasks: [] }), { tasks: { list: {} } });
  await using client = new RawClient(upstream);
  expect((await client.initialize()).result?.capabilities).toEqual({ tasks: { list: {} } });
  expect((await client.request("tasks/list")).result).toEqual({ tasks: [] });
  await using other = new RawClient(new FakeUpstream("modern", () => never, { tasks: {}, tools: {}, extensions: {} }));
  expect((await other.initialize()).result?.capabilities).toEqual({ tools: {} });
});

test("the log level is the leg's; without one, nothing is asked for", async () => {
  const upstream = new FakeUpstream("modern", (exchange) => {
    exchange.log?.tell({ level: "info", data: "dropped" });
    exchange.log?.tell({ level: "error", data: "kept" });
    return text("modern", exchange.log?.level ?? "none");
  });
  await using client = new RawClient(upstream);
  await client.initialize();
  expect((await client.request("tools/call", { name: "x" })).result?.content[0].text).toBe("none");
  expect((await client.request("logging/setLevel", { level: "loud" })).error?.code).toBe(-32602);
  expect((await client.request("logging/setLevel", { level: "warning" })).result).toEqual({});
  expect((await client.request("tools/call", { name: "x" })).result?.content[0].text).toBe("warning");
  const messages = client.messages.filter(({ method }) => method === "notifications/message");
  expect(messages.map(({ params }) => params.data)).toEqual(["kept"]);
  expect(upstream.exchanges.map(({ method }) => method)).toEqual(["tools/call", "tools/call"]);
  client.messages.length = 0;
  upstream.clients[0]?.tell?.({ method: "notifications/message", params: { level: "debug", data: 1 } });
  upstream.clients[0]?.tell?.({ method: "notifications/message", params: { level: "alert", data: 2 } });
  expect(client.messages.map(({ params }) => params.data)).toEqual([2]);
});

test("a legacy server is told the log level, too", async () => {
  const upstream = new FakeUpstream("legacy", () => result("legacy", {}));
  await using client = new RawClient(upstream);
  await client.initialize();
  await client.request("logging/setLevel", { level: "notice" });
  expect(upstream.exchanges.map(({ method, params }) => [method, params.level])).toEqual([
    ["logging/setLevel", "notice"],
  ]);
});

test("lists are listened to from the beginning, and again when the upstream has ended it", async () => {
  const upstream = new FakeUpstream("modern", () => never);
  await using client = new RawClient(upstream);
  await client.initialize();
  const first = await until("the listen", () => upstream.listens[0]);
  expect(first.filter).toEqual({ toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true });
  first.hear({
    method: "notifications/tools/list_changed",
    params: { _meta: { "io.modelcontextprotocol/subscriptionId": 3 } },
  });
  expect((await client.heard("notifications/tools/list_changed")).params).toEqual({});
  first.ended();
  await until("the next listen", () => upstream.listens[1]);
  await client.heard("notifications/prompts/list_changed");
  await client.channel.close();
  expect(upstream.listens[1]?.signal.aborted).toBe(true);
  expect(upstream.closed).toBe(1);
});

test("a resource is listened to once it is subscribed to, and refused where the server does not grant it", async () => {
  const upstream = new FakeUpstream("modern", () => never);
  await using client = new RawClient(upstream);
  await client.initialize();
  expect((await client.request("resources/subscribe", { uri: "a://1" })).result).toEqual({});
  const listen = await until("the listen", () => upstream.listens.find(({ filter }) => filter.resourceSubscriptions));
  listen.hear({ method: "notifications/resources/updated", params: { uri: "a://1" } });
  expect((await client.heard("notifications/resources/updated")).params?.uri).toBe("a://1");
  expect((await client.request("resources/unsubscribe", { uri: "a://1" })).result).toEqual({});
  expect(listen.signal.aborted).toBe(true);
  upstream.grant = () => ({});
  expect((await client.request("resources/subscribe", { uri: "a://2" })).error?.code).toBe(-32602);
});

test("methods of capabilities that the server lacks do not exist", async () => {
  await using client = new RawClient(new FakeUpstream("modern", () => never, { tools: {}, resources: {} }));
  await client.initialize();
  expect((await client.request("logging/setLevel", { level: "info" })).error?.code).toBe(-32601);
  expect((await client.request("resources/subscribe", { uri: "a://1" })).error?.code).toBe(-32601);
});

test("the 65th request in flight is refused, an id in use as well", async () => {
  await using client = new RawClient(new FakeUpstream("legacy", () => never));
  await client.initialize();
  const ids = Array.from({ length: 64 }, () => client.ask("tools/call", { name: "x" }));
  expect((await client.request("tools/call", { name: "x" })).error?.code).toBe(-32029);
  client.notify("notifications/cancelled", { requestId: ids[0] });
  client.send({ jsonrpc: "2.0", id: ids[1], method: "tools/call", params: {} });
  expect((await client.answered(ids[1] ?? 0)).error?.code).toBe(-32600);
});

test("faults carry their kind and hint", async () => {
  const upstream = new FakeUpstream("legacy", () => {
    throw new Fault("server-failed", "it has ended", { hint: "Look at `linkspan logs`.", data: { code: 3 } });
  });
  await using client = new RawClient(upstream);
  await client.initialize();
  expect((await client.request("tools/call", { name: "x" })).error).toEqual({
    code: -32052,
    message: "it has ended. Look at `linkspan logs`.",
    data: { kind: "server-failed", message: "it has ended", hint: "Look at `linkspan logs`.", data: { code: 3 } },
  });
});

test("what is sent behind `initialize` without waiting for its answer is answered after it, and heard", async () => {
  const upstream = new FakeUpstream("legacy", ({ method }) => text("legacy", method));
  await using client = new RawClient(upstream);
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "hasty", version: "1" } };
  const first = client.ask("initialize", params);
  client.notify("notifications/initialized");
  const second = client.ask("tools/call", { name: "x" });
  expect((await client.answered(second)).result?.content[0].text).toBe("tools/call");
  expect(client.messages.map(({ id }) => id)).toEqual([first, second]);
  await until("the listen", () => upstream.listens.length === 1);
});
