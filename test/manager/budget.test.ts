/** The budget at work over processes: who is stopped for whom, who waits, and who is never touched. */
import { expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { type LogFields, SILENT } from "../../src/base/log.ts";
import type { Manager } from "../../src/manager/manager.ts";
import { dialSession } from "../../src/transport/session.ts";
import { until } from "../support/until.ts";
import { attach, declared, plain } from "./clients.ts";
import { ask, faultOf, openStage, quiet, soon } from "./stage.ts";

const states = (manager: Manager) => Object.fromEntries(manager.servers().map(({ name, state }) => [name, state]));

test("one more than fits stops the one that nobody has used for longest; its next use starts it again", async () => {
  const servers = declared({ a: plain(), b: plain(), c: plain() });
  await using stage = await openStage("lru", { servers, budget: { containers: 2, wait: 5_000 } });
  const { manager } = stage;
  await ask(manager, "a", "echo");
  await ask(manager, "b", "echo");
  await ask(manager, "a", "echo");
  expect(await ask(manager, "c", "echo", "third")).toContain("third");
  expect(states(manager)).toEqual({ a: "ready", b: "stopped", c: "ready" });
  // A reason: to fronts it does not look like a stop on purpose.
  expect(manager.server("b").reason).toBe("it was stopped to make room for c: nobody used it");
  expect(await ask(manager, "b", "echo", "again")).toContain("again");
  expect(states(manager)).toEqual({ a: "stopped", b: "ready", c: "ready" });
  expect(manager.budget()).toMatchObject({ containers: 2, containersMax: 2, waiting: [] });
});

test("a server with a request in flight, started by name, without a lease or always wanted is never stopped", async () => {
  const servers = declared({
    busy: plain(),
    kept: plain({ lease: "none" }),
    there: plain({ start: "always" }),
    late: plain(),
  });
  await using stage = await openStage("untouched", { servers, budget: { containers: 4, wait: 1_500 } });
  const { manager } = stage;
  await until("it is there", () => manager.server("there").state === "ready");
  await using _ = { [Symbol.asyncDispose]: () => manager.remove("named", soon()) };
  const client = await attach(manager, "busy");
  const answer = client.call("later", { count: 3_000, text: "whole" });
  await ask(manager, "kept", "echo");
  await manager.start("named", plain(), quiet, soon());
  const fault = await faultOf(ask(manager, "late", "echo"));
  expect(fault).toMatchObject({ kind: "exhausted" });
  expect(fault.message).toBe("no room for late within 2 s: 4 of 4 containers are in use (busy, kept, named, there)");
  expect(fault.hint).toContain("manager.budget");
  expect(manager.server("late").state).toBe("defined");
  expect(await answer).toBe("whole");
  client.leave();
  const late = () => ask(manager, "late", "echo", "now").catch(() => "");
  await until("there is room", async () => (await late()).includes("now"), 15_000);
  expect(states(manager)).toMatchObject({ busy: "stopped", kept: "ready", named: "ready", there: "ready" });
});

test("who waits has a turn: told why, one for each client, and in time", async () => {
  const servers = declared({ one: plain(), a1: plain(), a2: plain(), b1: plain() });
  await using stage = await openStage("turns", { servers, budget: { containers: 1, wait: 20_000 } });
  const { manager } = stage;
  const first = await attach(manager, "one");
  const served: string[] = [];
  const told: string[] = [];
  const waitFor = async (server: string, ppid: number) => {
    const report = ({ step, detail }: { step: string; detail?: string }) =>
      void (step === "waiting for room" && told.push(`${server}: ${detail}`));
    const grant = await manager.acquire({ server, pid: process.pid, ppid }, "front", report, soon());
    served.push(server);
    manager.release(grant.session);
  };
  const waiting: Promise<void>[] = [];
  for (const [server, ppid] of [
    ["a1", 10],
    ["a2", 10],
    ["b1", 11],
  ] as const) {
    waiting.push(waitFor(server, ppid));
    await until(`${server} waits`, () => manager.budget().waiting.includes(server));
  }
  expect(manager.budget().waiting).toEqual(["a1", "b1", "a2"]);
  expect(told).toEqual([
    "a1: 1 of 1 containers are in use (one)",
    "a2: 1 before it; 1 of 1 containers are in use (one)",
    "b1: 1 before it; 1 of 1 containers are in use (one)",
  ]);
  expect(manager.server("a1").reason).toBe("it waits for room: 1 of 1 containers are in use (one)");
  first.leave();
  await Promise.all(waiting);
  expect(served).toEqual(["a1", "b1", "a2"]);
});

test("a client that does not want to wait any more, and a stop, leave the queue", async () => {
  const servers = declared({ one: plain(), two: plain(), big: plain({ limits: { memory: "2g" } }) });
  await using stage = await openStage("leave", { servers, budget: { containers: 1, memory: 1024 ** 3, wait: 20_000 } });
  const { manager } = stage;
  const first = await attach(manager, "one");
  const stopped = faultOf(manager.start("two", undefined, quiet, soon()));
  await until("it waits", () => manager.budget().waiting.length === 1);
  await manager.stop("two", soon());
  expect(await stopped).toMatchObject({ kind: "cancelled" });
  expect(manager.budget()).toMatchObject({ containers: 1, memoryBytes: 512 * 1024 ** 2, waiting: [] });
  const big = await faultOf(manager.start("big", undefined, quiet, soon()));
  expect(big).toMatchObject({
    kind: "exhausted",
    message: "big may use 2048 MiB, the budget of all servers is 1024 MiB",
  });
  first.leave();
});

test("the memory of a manager that starts anew is in the labels: what runs counts, what is in use stays", async () => {
  const servers = declared({ a: plain(), b: plain(), c: plain() });
  const budget = { containers: 2, memory: 1024 ** 3, wait: 1_000 };
  await using stage = await openStage("anew", { servers, budget });
  const client = await attach(stage.manager, "a");
  await ask(stage.manager, "b", "echo");
  const answer = client.call("later", { count: 3_000, text: "over a restart" });
  const manager = await stage.reopen();
  expect(await ask(manager, "c", "echo", "third")).toContain("third");
  expect(states(manager)).toEqual({ a: "ready", b: "stopped", c: "ready" });
  expect(manager.budget()).toMatchObject({ containers: 2, memoryBytes: 1024 ** 3 });
  expect(await answer).toBe("over a restart");
});

test("a session that our own calls keep open gives way, but not in the middle of a call", async () => {
  const servers = declared({ a: plain(), b: plain() });
  await using stage = await openStage("own", { servers, budget: { containers: 1, wait: 10_000 } });
  const { manager } = stage;
  const own = { pid: process.pid, ppid: process.ppid };
  const grant = await manager.acquire({ server: "a", ...own }, "manager", quiet, soon());
  let calling = true;
  manager.letGo = async () => {
    if (!calling) manager.release(grant.session);
    return !calling;
  };
  const next = manager.acquire({ server: "b", ...own }, "manager", quiet, soon());
  await until("it waits", () => manager.budget().waiting.length === 1);
  expect(manager.server("a").state).toBe("ready");
  calling = false;
  expect(await next).toMatchObject({ server: "b" });
  expect(manager.server("a").state).toBe("stopped");
});

test("a server is stopped when nobody has used it for its idleStop, and its next use starts it again", async () => {
  const servers = declared({ a: plain({ idleStop: "1s" }), b: plain() });
  await using stage = await openStage("idle", { servers });
  const { manager } = stage;
  const client = await attach(manager, "a");
  const answer = client.call("later", { count: 2_500, text: "slow" });
  await ask(manager, "b", "echo");
  expect(await answer).toBe("slow");
  // A session is use, however quiet it is.
  expect(await client.call("echo", { text: "still" })).toBe("still");
  client.leave();
  await until("it is stopped", () => manager.server("a").state === "stopped", 10_000);
  expect(manager.server("a").reason).toMatch(/^nobody used it for \d+ s$/);
  expect(manager.server("b").state).toBe("ready");
  expect(await ask(manager, "a", "echo", "again")).toContain("again");
});

test("more sessions than a server may have are refused", async () => {
  await using stage = await openStage("cap", { servers: declared({ a: plain({ maxSessions: 2 }) }) });
  const { manager } = stage;
  const clients = [await attach(manager, "a"), await attach(manager, "a")];
  expect(await faultOf(attach(manager, "a"))).toMatchObject({
    kind: "exhausted",
    message: expect.stringContaining("2 sessions"),
  });
  clients[0]?.leave();
  clients.push(await attach(manager, "a", { deadline: Deadline.in(10_000) }));
  for (const client of clients) client.leave();
});

test("a server that is always wanted comes with the manager, also with the next one", async () => {
  const servers = declared({ a: plain({ start: "always", idleStop: "1s" }), b: plain() });
  await using stage = await openStage("always", { servers });
  await until("it is there", () => stage.manager.server("a").state === "ready");
  await stage.manager.stop("a", soon());
  const manager = await stage.reopen();
  await until("it is there again", () => manager.server("a").state === "ready");
  expect(manager.server("b").state).toBe("defined");
});

test("a server that is always wanted and finds no room is tried again until it does", async () => {
  const budget = { containers: 1, wait: 1_000 };
  const refused: string[] = [];
  const log = { ...SILENT, warn: (_message: string, fields?: LogFields) => refused.push(String(fields?.reason)) };
  await using stage = await openStage("waits", { servers: declared({ a: plain() }), budget, log });
  const wish = { server: "a", pid: process.pid, ppid: process.ppid };
  const session = await dialSession(await stage.manager.acquire(wish, "front", quiet, soon()), soon());
  session.open({ line: () => {}, ended: () => {} });
  const manager = await stage.reopen({ servers: declared({ a: plain(), there: plain({ start: "always" }) }) });
  await until("it is refused", () => refused.some((reason) => reason.includes("no room for there")));
  session.detach();
  await until("there is room", () => manager.server("there").state === "ready", 30_000);
}, 60_000);
