/** One session per server, shared, closed when idle, opened anew; with the manager's books as the witness. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { ToolCalls } from "../../src/gateway/tool-calls.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";
import { rejection } from "../support/rejection.ts";
import { TestBridge } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const IDLE_MS = 300;

let api: ApiUnderTest;
let calls: ToolCalls;

beforeAll(async () => {
  api = await startApi("tool-calls");
  const { manager } = api;
  calls = new ToolCalls(
    {
      acquire: (server, report, deadline) =>
        manager.acquire({ server, pid: process.pid, ppid: process.ppid }, "manager", report, deadline),
      release: (session) => manager.release(session),
      view: (server, session) => manager.server(server, session),
    },
    IDLE_MS,
  );
  await api.client.start("tools", fixture("tools-legacy.ts"));
});
afterAll(async () => {
  await calls.close();
  await api[Symbol.asyncDispose]();
});

const sessions = (server = "tools") => api.manager.sessions().filter((session) => session.server === server);
const count = async () => (await calls.call("tools", "count", {})).content[0]?.text;

test("first calls at the same time open one session", async () => {
  const texts = Array.from({ length: 50 }, (_, index) => `text ${index}`);
  const results = await Promise.all(texts.map((text) => calls.call("tools", "echo", { text })));
  expect(results.map(({ content }) => content[0]?.text)).toEqual(texts);
  expect(sessions()).toHaveLength(1);
  expect(await count()).toBe("50");
});

test("an idle session is closed, and the next call has a new one", async () => {
  await count();
  await until("the end of the idle session", () => sessions().length === 0);
  expect(await count()).toBe("0");
  expect(sessions()).toHaveLength(1);
});

test("a session in use is not idle, however long a call takes", async () => {
  const slow = calls.call("tools", "slow", { steps: 4, stepMs: IDLE_MS / 2 });
  expect((await slow).content[0]?.text).toBe("done");
  expect(sessions()).toHaveLength(1);
});

test("a session that is let go is given back; one in use is kept", async () => {
  await count();
  const slow = calls.call("tools", "slow", { steps: 2, stepMs: 50 });
  expect(await calls.letGo("tools")).toBeFalse();
  await slow;
  expect(await calls.letGo("tools")).toBeTrue();
  expect(sessions()).toEqual([]);
  expect(await calls.letGo("tools")).toBeFalse();
});

test("a server that is stopped meanwhile is started by the next call", async () => {
  await count();
  await api.client.stop("tools");
  await until("the end of the session", () => sessions().length === 0);
  expect(await count()).toBe("0");
});

test("calls that wait when everything is closed end, and none is taken afterwards", async () => {
  const own = new ToolCalls({
    acquire: (server, report, deadline) =>
      api.manager.acquire({ server, pid: process.pid, ppid: process.ppid }, "manager", report, deadline),
    release: (session) => api.manager.release(session),
    view: (server, session) => api.manager.server(server, session),
  });
  await own.call("tools", "echo", { text: "x" });
  const waiting = own.call("tools", "never", {}).catch((error: unknown) => error);
  await own.close();
  expect(await waiting).toMatchObject({ kind: "cancelled" });
  expect(await rejection(own.call("tools", "echo", { text: "x" }))).toMatchObject({ kind: "unreachable" });
});

test("another server has the address by now: the manager is asked again", async () => {
  await using stranger = await TestBridge.start(["cat"]);
  const given: string[] = [];
  const { manager } = api;
  const own = new ToolCalls({
    async acquire(server, report, deadline) {
      const grant = await manager.acquire(
        { server, pid: process.pid, ppid: process.ppid },
        "manager",
        report,
        deadline,
      );
      given.push(grant.session);
      const addresses = [{ kind: "tcp", host: "127.0.0.1", port: stranger.port } as const];
      return given.length > 1 ? grant : { ...grant, addresses };
    },
    release: (session) => manager.release(session),
    view: (server, session) => manager.server(server, session),
  });
  expect((await own.call("tools", "echo", { text: "x" })).content[0]?.text).toBe("x");
  expect(given).toHaveLength(2);
  expect(manager.sessions().map(({ session }) => session)).not.toContain(given[0] ?? "");
  await own.close();
});

test("a call whose bridge is killed fails with it, and the next one is served by another", async () => {
  const { manager } = api;
  await count();
  const hanging = calls.call("tools", "never", {}).catch((error: unknown) => error);
  const { raw } = await manager.inspect("tools", Deadline.in(10_000));
  const startedAt = performance.now();
  process.kill((raw as { run: { bridge: { pid: number } } }).run.bridge.pid, "SIGKILL");
  expect(await hanging).toMatchObject({ kind: "unreachable" });
  // The bridge would have kept the session for longer, had it lived.
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  expect(await count()).toBe("0");
});
