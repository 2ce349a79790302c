/** What a client sees: prompts, resources, filters, scopes, collisions, pages, the search. */
import { afterEach, expect, test } from "bun:test";
import type { Item } from "../../../src/gateway/aggregate/offer.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";
import { answer, FakeServer, type Stage, stage, tool } from "./fake.ts";

let scene: Stage;

afterEach(() => scene[Symbol.dispose]());

function server(parts: Partial<FakeServer> = {}): FakeServer {
  return Object.assign(new FakeServer(), parts);
}

const resource = (uri: string): Item => ({ uri, name: uri });
const filter = (more: object) => ({ tools: { deny: [], rename: {}, describe: {}, ...more } });

test("prompts have names like tools, and completion finds theirs", async () => {
  const files = server({ prompts: [{ name: "sum up" }] });
  scene = stage({ files, web: server({ prompts: [{ name: "sum up" }] }) });
  const client = scene.client();
  expect(await client.names("prompts")).toEqual(["files__sum_up", "web__sum_up"]);
  const got = await client.get("prompts/get", { name: "files__sum_up", arguments: { a: "1" } });
  expect(JSON.parse(got.content[0].text)).toEqual({ name: "sum up", arguments: { a: "1" } });
  const ref = { type: "ref/prompt", name: "files__sum_up" };
  const completed = await client.get("completion/complete", { ref, argument: { name: "a", value: "" } });
  expect(JSON.parse(completed.content[0].text)).toMatchObject({ ref: { type: "ref/prompt", name: "sum up" } });
  expect(files.requests).toContain("completion/complete");
});

test("resources: by who lists them, the first where several do; by template; by who has spoken of them", async () => {
  const said = (name: string) => () => answer({ contents: [], content: [], from: name });
  const a = server({ tools: [tool("look")], resources: [resource("file:///both")] });
  const b = server({ resources: [resource("file:///both"), resource("file:///b")] });
  const c = server({ resourceTemplates: [{ uriTemplate: "db://{table}", name: "t" }], onCall: said("c") });
  a.onCall = ({ method }) =>
    method === "tools/call"
      ? answer({ content: [{ type: "resource_link", uri: "secret://a/1", name: "l" }] })
      : answer({ contents: [], from: "a" });
  b.onCall = said("b");
  scene = stage({ a, b, c });
  const client = scene.client();
  const { resources } = await client.get("resources/list");
  expect(resources.map(({ uri }: Item) => uri)).toEqual(["file:///both", "file:///b"]);
  const from = async (uri: string) => (await client.get("resources/read", { uri })).from;
  expect(await Promise.all(["file:///both", "file:///b", "db://users"].map(from))).toEqual(["a", "b", "c"]);
  expect(String(await rejection(from("secret://a/1")))).toContain("-32602");
  await client.get("tools/call", { name: "a__look" });
  expect(await from("secret://a/1")).toBe("a");
  const ref = { type: "ref/resource", uri: "db://{table}" };
  expect((await client.get("completion/complete", { ref, argument: {} })).from).toBe("c");
});

test("a subscription is its server's alone, and ends with the listener", async () => {
  const a = server({ resources: [resource("x://a")] });
  const b = server({ resources: [resource("x://b")] });
  scene = stage({ a, b });
  const [one, other] = [scene.client("one"), scene.client("other")];
  const mine = await one.hear({ resourceSubscriptions: ["x://a", "x://b", "x://none"] });
  expect(mine.granted).toEqual({ resourceSubscriptions: ["x://a", "x://b"] });
  const theirs = await other.hear({ resourceSubscriptions: ["x://b"] });
  a.tell({ method: "notifications/resources/updated", params: { uri: "x://a" } });
  b.tell({ method: "notifications/resources/updated", params: { uri: "x://b" } }, "other");
  expect(mine.heard.map(({ params }) => params["uri"])).toEqual(["x://a"]);
  expect(theirs.heard.map(({ params }) => params["uri"])).toEqual(["x://b"]);
  mine.stop();
  a.tell({ method: "notifications/resources/updated", params: { uri: "x://a" } });
  expect(mine.heard).toHaveLength(1);
});

test("roots that change are told to the servers that the client uses", async () => {
  const [a, b] = [server({ tools: [tool("x")] }), server({ tools: [tool("x")] })];
  scene = stage({ a, b });
  const client = scene.client();
  await client.get("tools/call", { name: "a__x" });
  client.attachment.notify({ method: "notifications/roots/list_changed", params: {} });
  expect([a.notes.length, b.notes.length]).toEqual([1, 0]);
});

test("allow, deny, rename, describe", async () => {
  const files = server({ tools: ["read", "write", "delete"].map((name) => tool(name)) });
  scene = stage({ files });
  const view = filter({
    allow: ["files__*"],
    deny: ["*__delete"],
    rename: { files__read: "read" },
    describe: { files__write: "Writes, if it must be." },
  });
  const client = scene.client("x", {}, view);
  const { tools } = await client.get("tools/list");
  expect(tools.map(({ name, description }: Item) => [name, description])).toEqual([
    ["read", "Does read"],
    ["files__write", "Writes, if it must be."],
  ]);
  const called = await client.get("tools/call", { name: "read" });
  expect(JSON.parse(called.content[0].text)).toEqual({ name: "read" });
  for (const name of ["files__delete", "files__read"]) {
    expect(String(await rejection(client.get("tools/call", { name })))).toContain("no tool");
  }
});

test("scopes: what is not in them does not exist, whatever a group calls it", async () => {
  const files = server({
    tools: [tool("read"), tool("write")],
    resources: [resource("f://1")],
    prompts: [{ name: "p" }],
  });
  const web = server({ tools: [tool("get")] });
  scene = stage({ files, web });
  const view = filter({ rename: { files__write: "files__read_too" } });
  const narrow = scene.client("x", {}, view, ["files__read*"]);
  expect(await narrow.names()).toEqual(["files__read"]);
  expect(await narrow.names("prompts")).toEqual([]);
  expect((await narrow.get("resources/list")).resources).toEqual([]);
  expect(String(await rejection(narrow.get("tools/call", { name: "files__read_too" })))).toContain("no tool");
  expect(String(await rejection(narrow.get("tools/call", { name: "web__get" })))).toContain("no tool");
  expect(web.sessions).toBe(0);
  const whole = scene.client("x", {}, {}, ["files"]);
  expect(await whole.names()).toEqual(["files__read", "files__write"]);
  expect(await whole.names("prompts")).toEqual(["files__p"]);
});

test("two tools of one name are both refused, with a hint that names both; the others stay", async () => {
  const one = server({ tools: [tool("b__c"), tool("fine")] });
  const two = server({ tools: [tool("c")] });
  scene = stage({ a: one, a__b: two });
  const client = scene.client();
  const { tools, _meta } = await client.get("tools/list");
  expect(tools.map(({ name }: Item) => name)).toEqual(["a__fine"]);
  expect(_meta["linkspan/collisions"]).toEqual({ a__b__c: '"b__c" of a and "c" of a__b' });
  const fault = await rejection(client.get("tools/call", { name: "a__b__c" }));
  expect(fault).toMatchObject({ kind: "conflict", hint: expect.stringContaining("rename") });
  const renamed = scene.client("x", {}, filter({ rename: { a__fine: "better" } }));
  expect(await renamed.names()).toEqual(["better"]);
});

test("plain names: as the servers have them; filters and scopes go by the whole ones", async () => {
  const one = server({ tools: [tool("read"), tool("same"), tool("gone")], prompts: [{ name: "p" }] });
  const two = server({ tools: [tool("same"), tool("write")] });
  scene = stage({ one, two });
  const client = scene.client("x", {}, { plainNames: true, ...filter({ deny: ["one__gone"] }) }, ["one", "two__w*"]);
  expect(await client.names()).toEqual(["read", "same", "write"]);
  expect(await client.names("prompts")).toEqual(["p"]);
  const called = await client.get("tools/call", { name: "write" });
  expect(JSON.parse(called.content[0].text)).toEqual({ name: "write" });
  const both = scene.client("x", {}, { plainNames: true });
  expect(await both.names()).toEqual(["read", "gone", "write"]);
  const { sessions } = one;
  expect(String(await rejection(both.get("tools/call", { name: "nothing" })))).toContain("no tool");
  expect(one.sessions).toBe(sessions);
});

test("where only one server has resources, what nobody lists is its business", async () => {
  const files = server({ onCall: () => answer({ contents: [], from: "files" }) });
  scene = stage({ files });
  const client = scene.client();
  await client.names();
  expect((await client.get("resources/read", { uri: "any://thing" })).from).toBe("files");
});

test("long lists come in pages, each of the list as it was", async () => {
  const many = server({ tools: Array.from({ length: 1_500 }, (_, index) => tool(`t${index}`)) });
  scene = stage({ many });
  const client = scene.client();
  const first = await client.get("tools/list");
  expect(first.tools).toHaveLength(1_000);
  many.tools = [];
  const second = await client.get("tools/list", { cursor: first.nextCursor });
  expect(second.tools).toHaveLength(500);
  expect(second.nextCursor).toBeUndefined();
  const names = [...first.tools, ...second.tools].map(({ name }: Item) => name);
  expect(new Set(names).size).toBe(1_500);
  for (const cursor of ["", "x", "p1", "p1.x", "p99.0", "p1.-1"]) {
    expect(String(await rejection(client.get("tools/list", { cursor })))).toContain("-32602");
  }
  const prompts = client.get("prompts/list", { cursor: first.nextCursor });
  expect(String(await rejection(prompts))).toContain("-32602");
});

test("the search: two tools instead of all, which find the others and call them under the same rules", async () => {
  const files = server({
    tools: [
      tool("read_text_file", { description: "Reads a file as text" }),
      tool("moveFile", { description: "Moves or renames" }),
      tool("delete", { description: "Deletes a file" }),
    ],
  });
  const db = server({ tools: [tool("query", { inputSchema: { type: "object", properties: { sql: {} } } })] });
  scene = stage({ files, db });
  const client = scene.client("x", {}, { findTools: true, ...filter({ deny: ["files__delete"] }) });
  expect(await client.names()).toEqual(["find_tools", "call_tool"]);
  const find = async (query: string, limit?: number) => {
    const { content } = await client.get("tools/call", { name: "find_tools", arguments: { query, limit } });
    return JSON.parse(content[0].text).tools.map(({ name }: Item) => name);
  };
  expect((await find("read a text file"))[0]).toBe("files__read_text_file");
  expect(await find("move", 1)).toEqual(["files__moveFile"]);
  expect(await find("sql")).toEqual(["db__query"]);
  expect(await find("delete")).toEqual([]);
  expect(await find("")).toEqual([]);
  const called = await client.get("tools/call", {
    name: "call_tool",
    arguments: { name: "files__moveFile", arguments: { to: "b" } },
  });
  expect(JSON.parse(called.content[0].text)).toEqual({ name: "moveFile", arguments: { to: "b" } });
  const named = JSON.parse('{"constructor":1,"prototype":{},"__proto__":[]}');
  const odd = await client.get("tools/call", {
    name: "call_tool",
    arguments: { name: "files__moveFile", arguments: named },
  });
  expect(odd.content[0].text).toContain('"arguments":{"constructor":1,"prototype":{},"__proto__":[]}');
  const denied = client.get("tools/call", { name: "call_tool", arguments: { name: "files__delete" } });
  expect(String(await rejection(denied))).toContain("no tool");
  const again = client.get("tools/call", { name: "call_tool", arguments: { name: "call_tool" } });
  expect(String(await rejection(again))).toContain("no tool");
  const bad = await rejection(client.get("tools/call", { name: "find_tools", arguments: { limit: 0 } }));
  expect(bad).toMatchObject({ kind: "invalid" });
});

test("`auto` searches where the list is long", async () => {
  const small = server({ tools: [tool("a")] });
  scene = stage({ small });
  const client = scene.client("x", {}, { findTools: "auto" });
  expect(await client.names()).toEqual(["small__a"]);
  const big = server({
    tools: Array.from({ length: 100 }, (_, index) => tool(`t${index}`, { description: "x".repeat(500) })),
  });
  scene.set({ small, big });
  expect(await client.names()).toEqual(["find_tools", "call_tool"]);
});

test("toolsets keep their names, are waited for, and are neither stored nor held back", async () => {
  const docker = server({ tools: [tool("docker_version", { description: "x\u202e" })] });
  docker.wait = () => Bun.sleep(50);
  scene = stage({ "toolset:docker": docker }, { patienceMs: 0 });
  expect(await scene.client("x", {}, { toolsets: ["docker"] }).names()).toEqual(["docker_version"]);
  expect(await scene.client("x", {}, { toolsets: [] }).names()).toEqual([]);
  const { sessions } = docker;
  const later = scene.again();
  expect(await later.client("x", {}, { toolsets: ["docker"] }).names()).toEqual(["docker_version"]);
  expect(docker.sessions).toBe(sessions + 1);
});

test("what a server says wrongly harms nobody: no list, nameless tools, endless pages", async () => {
  const odd = server();
  const endless = server();
  const attach = endless.attach.bind(endless);
  let pages = 0;
  endless.attach = (client) => ({
    ...attach(client),
    request: async ({ method }) => {
      pages += 1;
      return answer(method === "tools/list" ? { tools: [tool(`t${pages}`)], nextCursor: `${pages}` } : {});
    },
  });
  Object.assign(odd, { tools: [{ description: "no name" }, { name: 1 }, null, tool("fine"), tool("fine")] });
  scene = stage({ odd, endless, good: server({ tools: [tool("x")] }) });
  const client = scene.client();
  await client.names();
  await until("all have answered", async () => (await client.names()).length > 2);
  const names = await client.names();
  expect(names.filter((name) => !name.startsWith("endless"))).toEqual(["odd__fine", "good__x"]);
  expect(pages).toBeLessThan(500);
});

test("300 servers are looked at once each, and known from then on", async () => {
  const many = Object.fromEntries(
    Array.from({ length: 300 }, (_, index) => [`s${index}`, server({ tools: [tool("one")] })]),
  );
  const specs = Object.fromEntries(Object.keys(many).map((name) => [name, name.padStart(8, "0")]));
  scene = stage({}, { patienceMs: 10_000 });
  scene.set(many, specs);
  const client = scene.client();
  for (let count = 0; count < 2; count += 1) {
    const { tools, _meta } = await client.get("tools/list");
    expect(tools).toHaveLength(300);
    expect(_meta["linkspan/absent"]).toBeUndefined();
  }
  expect(Object.values(many).filter(({ sessions }) => sessions !== 1)).toEqual([]);
});
