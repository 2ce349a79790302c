/** Clients of both eras, servers of both: what each one gets, in which era, and how many processes that takes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Params } from "../../../src/gateway/exchange.ts";
import { fixture, Person, resultOf, Stage, type Subject, textOf } from "./stage.ts";

let stage: Stage;
let legacy: Subject;
let modern: Subject;
let dual: Subject;

beforeAll(async () => {
  stage = await Stage.open("upstreams");
  legacy = await stage.start("legacy", fixture("tools-legacy.ts"));
  modern = await stage.start("modern", fixture("tools-modern.ts"));
  dual = await stage.start("dual", fixture("tools-modern.ts", "dual"));
});
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

/** The methods that a process was sent. */
const methods = (lines: string[] | undefined) => (lines ?? []).map((line) => JSON.parse(line).method);

test("a legacy client and a legacy server: one process, opened with the client's own words", async () => {
  const person = new Person(legacy.upstream, "legacy", { capabilities: { roots: { listChanged: true }, x: {} } });
  const { era, serverInfo } = await person.describe();
  expect([era, serverInfo.name]).toEqual(["legacy", "tools-legacy"]);
  const reply = await person.call("echo", { text: "hello" });
  expect(reply).toMatchObject({ kind: "result", era: "legacy" });
  expect(resultOf(reply)).toMatchObject({ "x-unknown": { kept: true } });
  expect(textOf(reply)).toBe("hello");
  expect(legacy.processes).toHaveLength(1);
  expect(methods(legacy.processes[0])).toEqual(["initialize", "notifications/initialized", "tools/call"]);
  const { params } = JSON.parse(legacy.processes[0]?.[0] ?? "");
  expect(params).toMatchObject({
    capabilities: { roots: { listChanged: true }, x: {} },
    clientInfo: { name: "person" },
  });
  await person.attachment.close();
});

test("a second legacy client has a process of its own", async () => {
  const [one, other] = [new Person(legacy.upstream, "legacy"), new Person(legacy.upstream, "legacy")];
  await one.call("echo", { text: "1" });
  expect(textOf(await other.call("count"))).toBe("0");
  expect(textOf(await one.call("count"))).toBe("1");
  await Promise.all([one.attachment.close(), other.attachment.close()]);
});

test("a modern client and a modern server: `server/discover` comes first, and clients share the process", async () => {
  const one = new Person(modern.upstream, "modern", { capabilities: { sampling: {} } });
  const other = new Person(modern.upstream, "modern");
  const { era, serverInfo } = await one.describe();
  expect([era, serverInfo.name]).toEqual(["modern", "tools-modern"]);
  const [mine, theirs] = await Promise.all([one.call("era", {}, { rounds: true }), other.call("era")]);
  expect(JSON.parse(textOf(mine))["io.modelcontextprotocol/clientCapabilities"]).toEqual({ sampling: {} });
  expect(JSON.parse(textOf(theirs))["io.modelcontextprotocol/clientCapabilities"]).toEqual({});
  expect(mine).toMatchObject({ kind: "result", era: "modern" });
  expect(modern.processes).toHaveLength(1);
  expect(methods(modern.processes[0])).toEqual(["server/discover", "tools/call", "tools/call"]);
});

test("a legacy client of a modern server", async () => {
  const answer = () => ({ action: "accept", content: {} });
  const person = new Person(modern.upstream, "legacy", { capabilities: { roots: { listChanged: true } }, answer });
  expect((await person.describe()).era).toBe("modern");
  const said = JSON.parse(textOf(await person.call("era")));
  expect(said["io.modelcontextprotocol/clientCapabilities"]).toEqual({ roots: {} });
  expect(said["io.modelcontextprotocol/clientInfo"]).toEqual({ name: "person", version: "1" });
  expect(await person.request("x/vendor")).toMatchObject({ kind: "error", error: { code: -32601 } });
  expect(modern.processes.filter((lines) => methods(lines)[0] === "server/discover")).toHaveLength(1);
  expect(modern.processes).toHaveLength(2);
  await person.attachment.close();
});

test("a modern client of a legacy server: the process that said no is not used", async () => {
  const before = legacy.processes.length;
  const person = new Person(legacy.upstream, "modern");
  expect((await person.describe()).era).toBe("legacy");
  expect(textOf(await person.call("echo", { text: "over" }))).toBe("over");
  expect(await person.request("ping")).toMatchObject({ kind: "result" });
  expect(await person.request("x/vendor")).toMatchObject({ kind: "error", error: { code: -32601 } });
  const [refused, used, more] = legacy.processes.slice(before);
  expect(methods(refused)).toEqual(["server/discover"]);
  expect(methods(used)).toEqual(["initialize", "notifications/initialized", "tools/call"]);
  expect(more).toBeUndefined();
});

test("a server of both eras speaks each client's own", async () => {
  const old = new Person(dual.upstream, "legacy");
  const young = new Person(dual.upstream, "modern");
  expect(textOf(await old.call("era"))).toBe("null");
  expect(JSON.parse(textOf(await young.call("era")))).toHaveProperty(["io.modelcontextprotocol/protocolVersion"]);
  expect((await old.describe()).era).toBe("legacy");
  expect((await young.describe()).era).toBe("modern");
  expect(dual.processes).toHaveLength(2);
  await old.attachment.close();
});

test("a server that all sessions share: the era that does no harm comes first, and clients are kept apart", async () => {
  const shared = { ...fixture("unruly-server.ts"), session: "shared" as const };
  const subject = await stage.start("shared", shared, { shared: true });
  const answer = ({ params }: { params: Params }) => ({ action: "accept", content: { heard: params.message } });
  const people = (["modern", "legacy", "modern"] as const).map(
    (era, index) =>
      new Person(subject.upstream, era, { capabilities: { elicitation: {} }, answer, principal: `p${index}` }),
  );
  const pids = await Promise.all(people.map(async (person) => textOf(await person.call("process"))));
  expect(new Set(pids).size).toBe(1);
  for (const person of people) {
    expect(JSON.parse(textOf(await person.call("ask")))).toEqual({ action: "accept", content: { heard: "May I?" } });
    expect(person.asked).toHaveLength(1);
  }
  expect(subject.processes.every((lines) => methods(lines)[0] === "initialize")).toBeTrue();
  await people[1]?.attachment.close();
});

test("what the operator says is not questioned", async () => {
  const forced = stage.subject("dual", { era: "legacy" });
  const person = new Person(forced.upstream, "modern");
  expect(textOf(await person.call("era"))).toBe("null");
  expect(forced.processes).toHaveLength(1);
});
