/** Messages nested deeper than JSON can be written again: whoever sends one harms nobody else, and everybody gets an answer. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { linePair, type Lines } from "../../src/gateway/servers/lines.ts";
import { serverUpstream } from "../../src/gateway/servers/upstream.ts";
import { FakeServer, stage, tool } from "./aggregate/fake.ts";
import { modern, RawClient } from "./clients/channel.ts";

const DEPTH = 100_000;
const DEEP = "[".repeat(DEPTH) + "]".repeat(DEPTH);

const rejections: unknown[] = [];
const note = (reason: unknown) => void rejections.push(reason);
beforeEach(() => void process.on("unhandledRejection", note).on("uncaughtException", note));
afterEach(() => void process.off("unhandledRejection", note).off("uncaughtException", note));

const TOOLS = `{"name":"abyss","inputSchema":{"type":"object","examples":${DEEP}}},{"name":"fine","inputSchema":{}}`;

/** A legacy server that answers a call with the lines that its name says, `ID` and `TOKEN` filled in. */
function server(scripts: Record<string, string[]>) {
  return serverUpstream({ era: "legacy", open: async () => served(scripts) });
}

function served(scripts: Record<string, string[]>): Lines {
  const [near, far] = linePair();
  const serverInfo = { name: "deep", version: "1" };
  const capabilities = { tools: {}, logging: {}, resources: { subscribe: true } };
  const line = (line: string) => {
    const { id, method, params, result, error } = JSON.parse(line);
    const say = (value: object) => far.send(JSON.stringify({ jsonrpc: "2.0", id, result: value }));
    if (method === "initialize") return say({ protocolVersion: params.protocolVersion, capabilities, serverInfo });
    if (method === "tools/call") {
      const { progressToken = 0 } = params._meta ?? {};
      for (const one of scripts[params.name] ?? []) {
        const text = one.replace("ID", String(id)).replace("TOKEN", String(progressToken));
        far.send(text);
      }
      return;
    }
    if (method === "tools/list") return void far.send(`{"jsonrpc":"2.0","id":${id},"result":{"tools":[${TOOLS}]}}`);
    // An answer to a question ends the call that it belongs to, which is the first one.
    if (method === undefined) {
      const content = [{ type: "text", text: error ? `error ${error.code}` : Object.keys(result).join() }];
      far.send(JSON.stringify({ jsonrpc: "2.0", id: 2, result: { content } }));
      return;
    }
    if (id !== undefined) say({});
  };
  far.open({ line: (text) => void line(text), drained() {}, ended() {} });
  return near;
}

const END = '{"jsonrpc":"2.0","id":ID,"result":{"content":[]}}';
const SCRIPTS = {
  log: [`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":${DEEP}}}`, END],
  note: [`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a","x":${DEEP}}}`, END],
  question: [`{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"messages":${DEEP}}}`, END],
  error: [`{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"no","data":${DEEP}}}`],
  result: [`{"jsonrpc":"2.0","id":ID,"result":{"content":[],"structuredContent":{"a":${DEEP}}}}`],
  odd: [`{"id":ID,"result":{"content":[],"structuredContent":{"a":${DEEP}}},"jsonrpc":"2.0"}`],
  ask: ['{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"messages":[]}}'],
};

test("a legacy client gets an answer to each call, whatever the server nests in what", async () => {
  await using client = new RawClient(server(SCRIPTS));
  await client.initialize("2025-11-25", { sampling: {} });
  await client.request("logging/setLevel", { level: "debug" });
  await client.request("resources/subscribe", { uri: "a" });
  for (const name of ["log", "note", "question", "error", "result", "odd", "log"]) {
    const { result, error } = await client.request("tools/call", { name, _meta: { progressToken: 1 } });
    if (name === "error") expect(error).toMatchObject({ code: -32000, message: "no" });
    else if (name === "odd") expect(error?.message).toContain("nested");
    else expect(Array.isArray(result?.content)).toBe(true);
  }
  expect(rejections).toEqual([]);
});

test("a modern client, too", async () => {
  await using client = new RawClient(server(SCRIPTS));
  const meta = { "io.modelcontextprotocol/logLevel": "debug", progressToken: 1 };
  for (const name of ["log", "note", "question", "error", "result", "odd", "log"]) {
    const { result, error } = await client.request("tools/call", modern({ name }, { sampling: {} }, meta));
    if (name === "error") expect(error).toMatchObject({ code: -32000, message: "no" });
    else if (name === "odd" || name === "result") expect(typeof error?.message).toBe("string");
    else expect(Array.isArray(result?.content)).toBe(true);
  }
  expect(rejections).toEqual([]);
});

test("what a client nests too deeply is refused to it, and the next request is answered", async () => {
  await using client = new RawClient(server({ ...SCRIPTS, fine: [END] }));
  await client.initialize("2025-11-25", { sampling: {} });
  const ask = client.ask("tools/call", { name: "ask" });
  const { id } = await client.heard("sampling/createMessage");
  client.send(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"a":${DEEP}}}`);
  expect((await client.answered(ask)).result?.content[0].text).toStartWith("error ");
  client.send(`{"jsonrpc":"2.0","method":"notifications/roots/list_changed","params":{"a":${DEEP}}}`);
  client.send(`{"jsonrpc":"2.0","id":"deep","method":"tools/call","params":{"name":"fine","arguments":{"a":${DEEP}}}}`);
  expect((await client.answered("deep")).error?.message).toContain("nested");
  expect((await client.request("tools/call", { name: "fine" })).result).toEqual({ content: [] });
  expect(rejections).toEqual([]);
});

test("a tool that is nested too deeply is left out of the list of all servers, and nothing else of it", async () => {
  const good = Object.assign(new FakeServer(), { tools: [tool("good")] });
  using scene = stage({ good });
  scene.set({ good, deep: server({}) as unknown as FakeServer });
  await using client = new RawClient(scene.all());
  await client.initialize();
  const { result } = await client.request("tools/list");
  expect(result?.tools.map(({ name }: { name: string }) => name)).toEqual(["good__good", "deep__fine"]);
  expect(rejections).toEqual([]);
});
