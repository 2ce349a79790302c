/** Many servers as one, with servers as bad as they come. */
import { afterEach, expect, test } from "bun:test";
import { Deadline } from "../../../src/base/deadline.ts";
import type { Reply } from "../../../src/gateway/exchange.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";
import { answer, FakeServer, type Stage, stage, tool } from "./fake.ts";

let open: Stage | undefined;

afterEach(() => {
  open?.[Symbol.dispose]();
  open = undefined;
});

function on(servers: Record<string, FakeServer>, options?: Parameters<typeof stage>[1]): Stage {
  return (open = stage(servers, options));
}

function server(...names: string[]): FakeServer {
  const made = new FakeServer();
  made.tools = names.map((name) => tool(name));
  return made;
}

/** Whoever asks it gets no answer. */
function hung(): FakeServer {
  const made = server("never");
  made.wait = () => new Promise(() => {});
  return made;
}

function dead(): FakeServer {
  const made = server("never");
  made.wait = () => Promise.reject(new Error("it does not start"));
  return made;
}

test("tools of all servers, each under its server's name, and each call finds its own", async () => {
  const [files, web] = [server("read", "list"), server("read")];
  const client = on({ files, web }).client();
  expect(await client.names()).toEqual(["files__read", "files__list", "web__read"]);
  const called = await client.get("tools/call", { name: "web__read", arguments: { a: 1 }, _meta: { trace: "x" } });
  expect(JSON.parse(called.content[0].text)).toEqual({ name: "read", arguments: { a: 1 }, _meta: { trace: "x" } });
  expect([files, web].map((one) => one.requests.filter((method) => method === "tools/call").length)).toEqual([0, 1]);
});

test("a hung, a dead and a slow server delay nobody: the list is there, and the slow one comes by list_changed", async () => {
  const slow = server("late");
  const { promise: started, resolve: start } = Promise.withResolvers<void>();
  slow.wait = () => started;
  const scene = on({ bad: dead(), files: server("read"), hung: hung(), slow }, { patienceMs: 150 });
  const client = scene.client();
  const { instructions } = await client.attachment.describe(deadlineNever());
  expect(instructions).toBeUndefined();
  const { heard, methods } = await client.hear();
  const first = await client.get("tools/list");
  expect(first.tools.map(({ name }: { name: string }) => name)).toEqual(["files__read"]);
  expect(Object.keys(first._meta["linkspan/absent"])).toEqual(["bad", "hung", "slow"]);
  expect(first._meta["linkspan/absent"].bad).toContain("it does not start");
  await client.get("tools/call", { name: "files__read" });
  heard.length = 0;
  start();
  await until("the slow one", () => methods().includes("notifications/tools/list_changed"));
  expect(await client.names()).toEqual(["files__read", "slow__late"]);
});

test("patience is spent once: whoever was waited for is not waited for again", async () => {
  const client = on({ files: server("read"), hung: hung() }, { patienceMs: 400 }).client();
  await client.names();
  const from = performance.now();
  for (let round = 0; round < 5; round += 1) await client.names();
  expect(performance.now() - from).toBeLessThan(400);
});

test("what servers offer outlives the manager: nobody is started for a list, a call starts its server", async () => {
  const files = server("read");
  files.instructions = "Reads files.";
  await on({ files }).client().names();
  const sessions = files.sessions;
  const later = open!.again().client();
  const listed = await later.get("tools/list");
  expect(listed._meta["linkspan/stored"]).toEqual(["files"]);
  expect((await later.attachment.describe(deadlineNever())).instructions).toBe("# files\nReads files.");
  expect(files.sessions).toBe(sessions);
  await later.get("tools/call", { name: "files__read" });
  expect(files.sessions).toBe(sessions + 1);
  expect((await later.get("tools/list"))._meta).toBeUndefined();
});

test("one that was dead and runs now is asked again, and its tools are told of", async () => {
  const files = dead();
  const scene = on({ files }, { patienceMs: 100 });
  const client = scene.client();
  expect(await client.names()).toEqual([]);
  const { heard } = await client.hear();
  files.wait = async () => {};
  scene.ready("files");
  await until("it is told", () => heard.length > 0);
  expect(await client.names()).toEqual(["files__never"]);
});

test("a stored list that is out of date corrects itself with the first session", async () => {
  const files = server("read");
  const scene = on({ files }, { rules: { policy: "off" } });
  await scene.client().names();
  files.tools = [tool("read"), tool("write")];
  const [one, other] = [scene.client("one"), scene.client("other")];
  expect(await one.names()).toEqual(["files__read"]);
  const [mine, theirs] = [await one.hear(), await other.hear()];
  await one.get("tools/call", { name: "files__read" });
  await until("both hear of it", () => mine.heard.length > 0 && theirs.heard.length > 0);
  expect(await one.names()).toEqual(["files__read", "files__write"]);
  expect(await other.names()).toEqual(["files__read", "files__write"]);
});

test("a tool that the list does not have yet is looked for at the server that its name says", async () => {
  const slow = server("late");
  const { promise: started, resolve: start } = Promise.withResolvers<void>();
  slow.wait = () => started;
  const client = on({ files: server("read"), slow }, { patienceMs: 0 }).client();
  const called = client.get("tools/call", { name: "slow__late" });
  start();
  expect((await called).content).toHaveLength(1);
  expect(String(await rejection(client.get("tools/call", { name: "files__raed" })))).toContain(
    "did you mean files__read",
  );
});

test("a call of a tool whose server does not start says why", async () => {
  const client = on({ bad: dead(), files: server("read") }, { patienceMs: 0 }).client();
  expect(String(await rejection(client.get("tools/call", { name: "bad__any" })))).toContain("it does not start");
});

test("a server that says all the time that it has changed is heard once a second", async () => {
  const files = server("read");
  const client = on({ files }).client();
  await client.get("tools/call", { name: "files__read" });
  const { heard } = await client.hear();
  const end = performance.now() + 1_500;
  while (performance.now() < end) {
    files.tell({ method: "notifications/tools/list_changed", params: {} });
    await Bun.sleep(5);
  }
  expect(heard.length).toBeLessThanOrEqual(3);
});

test("list_changed of a client's own session is its own; many changes are one", async () => {
  const files = server("read");
  const scene = on({ files });
  const [one, other] = [scene.client("one"), scene.client("other")];
  for (const client of [one, other]) await client.get("tools/call", { name: "files__read" });
  await until("both listen", () => files.requests.filter((method) => method === "tools/list").length >= 2);
  // What the first use has taught is old news by then.
  await Bun.sleep(1_100);
  const [mine, theirs] = [await one.hear(), await other.hear()];
  for (let round = 0; round < 10; round += 1) {
    files.tell({ method: "notifications/tools/list_changed", params: {} }, "one");
    files.tell({ method: "notifications/prompts/list_changed", params: {} }, "one");
  }
  await until("one hears", () => mine.heard.length >= 2);
  await Bun.sleep(100);
  expect(mine.methods().toSorted()).toEqual(["notifications/prompts/list_changed", "notifications/tools/list_changed"]);
  expect(theirs.heard).toEqual([]);
});

test("servers that come, go and change are told of, and a call in the old one ends as it began", async () => {
  const [old, web] = [server("read"), server("get")];
  const { promise, resolve } = Promise.withResolvers<Reply>();
  old.onCall = () => promise;
  const scene = on({ files: old });
  const client = scene.client();
  await client.names();
  const { heard } = await client.hear();
  const called = client.get("tools/call", { name: "files__read" });
  await until("the call is under way", () => old.requests.includes("tools/call"));
  const fresh = server("read", "write");
  scene.set({ files: fresh, web }, { files: "another" });
  await until("it is told", () => heard.length > 0);
  expect(await client.names()).toEqual(["files__read", "files__write", "web__get"]);
  expect(old.closed).toBe(1);
  resolve(answer({ content: [] }));
  expect((await called).content).toEqual([]);
  await until("its session is closed", () => old.closed === 2);
  scene.set({ web });
  expect(await client.names()).toEqual(["web__get"]);
});

test("20 clients with equal names and arguments: each gets its own answer, unknown servers are asked once", async () => {
  const [a, b] = [server("who"), server("who")];
  for (const [name, one] of Object.entries({ a, b })) {
    one.onCall = async ({ params }, { principal }) => {
      await Bun.sleep(Number(principal) % 5);
      return answer({ content: [], said: `${name} ${principal} ${JSON.stringify(params.arguments)}` });
    };
  }
  const scene = on({ a, b });
  const clients = Array.from({ length: 20 }, (_, index) => scene.client(String(index)));
  await Promise.all(clients.map((client) => client.names()));
  expect([a.sessions, b.sessions]).toEqual([1, 1]);
  const said = await Promise.all(
    clients.flatMap((client) =>
      ["a__who", "b__who"].map(async (name) => (await client.get("tools/call", { name, arguments: { id: 1 } })).said),
    ),
  );
  expect(said).toEqual(clients.flatMap((_, index) => [`a ${index} {"id":1}`, `b ${index} {"id":1}`]));
});

test("messages say which server they come from; questions, progress and rounds pass untouched", async () => {
  const files = server("work");
  files.onCall = async (exchange, { tell }) => {
    exchange.log?.tell({ level: "info", logger: "db", data: 1 });
    exchange.log?.tell({ level: "info", data: 2 });
    tell?.({ method: "notifications/message", params: { level: "info", data: 3 } });
    exchange.progress?.({ progress: 1, total: 2 });
    const roots = await exchange.ask?.({ method: "roots/list", params: {} }, exchange.signal);
    return answer({ content: [], roots, retry: exchange.retry, rounds: exchange.rounds });
  };
  const client = on({ files }).client();
  const logs: unknown[] = [];
  const steps: unknown[] = [];
  const found = await client.get(
    "tools/call",
    { name: "files__work" },
    {
      log: { level: "info", tell: (params) => logs.push(params["logger"]) },
      progress: (step) => steps.push(step),
      ask: async ({ method }) => ({ asked: method }),
      retry: { responses: { a: 1 }, state: "s" },
    },
  );
  expect(logs).toEqual(["files/db", "files"]);
  expect(client.told).toEqual([
    { method: "notifications/message", params: { level: "info", data: 3, logger: "files" } },
  ]);
  expect(steps).toEqual([{ progress: 1, total: 2 }]);
  expect(found).toMatchObject({
    roots: { asked: "roots/list" },
    retry: { responses: { a: 1 }, state: "s" },
    rounds: true,
  });
});

test("a cancelled request ends, whatever its server does", async () => {
  const controller = new AbortController();
  const client = on({ hung: hung() }, { patienceMs: 0 }).client();
  const asked = rejection(client.ask("tools/call", { name: "hung__never" }, { signal: controller.signal }));
  controller.abort();
  expect(await asked).toMatchObject({ kind: "cancelled" });
});

function deadlineNever() {
  return Deadline.in(60_000);
}
