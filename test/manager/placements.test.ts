/** A container for each session, over processes: what comes and goes with a session, and what is seen of the server. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { LABEL } from "../../src/runtime/labels.ts";
import { until } from "../support/until.ts";
import { attach, declared, plain } from "./clients.ts";
import { faultOf, openStage, quiet, soon, type Stage } from "./stage.ts";

const own = (more: Parameters<typeof plain>[0] = {}) => plain({ session: "container", ...more });

/** The folders of what runs, or has run. */
const folders = ({ folder }: Stage) => readdirSync(join(folder, "data", "process")).toSorted();
const logOf = async (lines: AsyncIterable<{ text: string }>) => {
  const texts: string[] = [];
  for await (const { text } of lines) texts.push(text);
  return texts;
};

test("each session has its own, named and labelled by it, and it goes with the session", async () => {
  await using stage = await openStage("own", { servers: declared({ a: own() }) });
  const { manager } = stage;
  const [one, two] = await Promise.all([attach(manager, "a"), attach(manager, "a")]);
  const [first, second] = await Promise.all([one.call("process"), two.call("process")]);
  expect(first).not.toBe(second);
  const names = folders(stage);
  expect(names).toHaveLength(2);
  for (const { session } of [one, two]) {
    expect(names.some((name) => name.startsWith(`linkspan-${manager.dataDir.instance}-a-${session}-`))).toBe(true);
  }
  expect(manager.server("a")).toMatchObject({ state: "ready", sessions: 2, containers: 2, addresses: [] });
  const { raw, health } = await manager.inspect("a", soon());
  const labels = (raw as { labels: Record<string, string> }[]).map((found) => found.labels);
  expect(labels.map((found) => found[LABEL.session]).toSorted()).toEqual([one.session, two.session].toSorted());
  for (const found of labels) {
    expect(found).toMatchObject({ [LABEL.managedBy]: "linkspan", [LABEL.service]: "a", [LABEL.server]: "a" });
    expect(Number(found[LABEL.started])).toBeGreaterThan(1_700_000_000);
  }
  expect(health).toMatchObject({ status: "ok", sessions: 2, processes: 2 });
  const lines = await logOf(manager.logs("a", { signal: soon().signal }));
  for (const { session } of [one, two]) expect(lines.some((line) => line.startsWith(`[${session}] `))).toBe(true);
  if (process.platform === "linux") expect((await manager.stats("a", soon())).pids).toBeGreaterThanOrEqual(4);
  one.leave();
  await until("its container is gone", () => folders(stage).length === 1);
  expect(await two.call("echo", { text: "still" })).toBe("still");
  expect(manager.server("a")).toMatchObject({ state: "ready", containers: 1 });
  two.leave();
  await until("all is gone", () => folders(stage).length === 0);
  expect(manager.server("a")).toMatchObject({ state: "defined", sessions: 0, containers: 0 });
});

test("one that is shared says for which session it was made, or that the manager made it", async () => {
  await using stage = await openStage("labels", { servers: declared({ a: plain() }) });
  const { manager } = stage;
  const client = await attach(manager, "a");
  await manager.start("b", plain(), quiet, soon());
  const sessionOf = async (name: string) => {
    const { raw } = await manager.inspect(name, soon());
    return (raw as { labels: Record<string, string> }).labels[LABEL.session];
  };
  expect(await sessionOf("a")).toBe(client.session);
  expect(await sessionOf("b")).toMatch(new RegExp(`^mcp-session-${process.ppid}-${process.pid}-\\d{13}$`));
  client.leave();
});

test("stop, restart and removal of the server end all of them; a start by name makes ready", async () => {
  await using stage = await openStage("all", {});
  const { manager } = stage;
  expect(await manager.start("a", own(), quiet, soon())).toMatchObject({ state: "ready", containers: 0 });
  const calls = async () => {
    const clients = [await attach(manager, "a"), await attach(manager, "a")];
    return clients.map((client) => client.call("hang"));
  };
  for (const end of ["stop", "restart", "remove"] as const) {
    const waiting = await calls();
    await (end === "restart" ? manager.restart("a", quiet, soon()) : manager[end]("a", soon()));
    for (const answer of waiting) expect(await answer).toMatch(/server-failed|ended: /);
    expect(folders(stage)).toEqual([]);
    // A front that sees it so leaves it alone.
    if (end === "stop") expect(manager.server("a")).toMatchObject({ state: "stopped" });
    if (end === "restart") expect(manager.server("a")).toMatchObject({ state: "ready", containers: 0 });
    if (end !== "remove") expect(manager.server("a").reason).toBeUndefined();
  }
  expect(await faultOf(attach(manager, "a"))).toMatchObject({ kind: "not-found" });
});

test("one that does not start says why and leaves nothing; the others run on", async () => {
  await using stage = await openStage("fails", { servers: declared({ a: own({ secrets: { OK: "1" } }), b: own() }) });
  const { manager } = stage;
  const there = await attach(manager, "b");
  const missing = own({ image: "exec:/nowhere/at/all" });
  expect(await faultOf(manager.start("c", missing, quiet, soon()))).toMatchObject({ kind: "not-found" });
  const capped = own({ maxSessions: 1 });
  await manager.start("d", capped, quiet, soon());
  const first = await attach(manager, "d");
  expect(await faultOf(attach(manager, "d"))).toMatchObject({ kind: "exhausted" });
  first.leave();
  expect(await there.call("echo", { text: "on" })).toBe("on");
  there.leave();
  await until("nothing is left", () => folders(stage).length === 0);
});

test("the next manager finds them by their labels: what is in use stays, what is not goes", async () => {
  await using stage = await openStage("anew", { servers: declared({ a: own() }) });
  const client = await attach(stage.manager, "a");
  const gone = await stage.manager.acquire({ server: "a", pid: 0, ppid: 0 }, "tcp", quiet, soon());
  const answer = client.call("later", { count: 3_000, text: "over a restart" });
  expect(folders(stage)).toHaveLength(2);
  const manager = await stage.reopen();
  await until(
    "it is there",
    () => manager.server("a").containers !== undefined && manager.server("a").state === "ready",
  );
  await until("the unused one is gone", () => folders(stage).length === 1, 10_000);
  expect(folders(stage)[0]).not.toContain(gone.session);
  expect(await answer).toBe("over a restart");
  client.leave();
  await until("all is gone", () => folders(stage).length === 0, 10_000);
});

test("each counts in the budget, and none of them is stopped for another one", async () => {
  const servers = declared({ a: own(), b: plain() });
  await using stage = await openStage("counts", { servers, budget: { containers: 2, wait: 500 } });
  const { manager } = stage;
  const clients = [await attach(manager, "a"), await attach(manager, "a")];
  expect(manager.budget()).toMatchObject({ containers: 2 });
  expect(await faultOf(attach(manager, "a"))).toMatchObject({ kind: "exhausted" });
  expect(await faultOf(attach(manager, "b"))).toMatchObject({ kind: "exhausted" });
  for (const client of clients) expect(await client.call("echo", { text: "there" })).toBe("there");
  clients[0]?.leave();
  await until("there is room", () => manager.budget().containers === 1);
  const other = await attach(manager, "b");
  other.leave();
  clients[1]?.leave();
});

test("a definition that changes its policy: those that run serve on, new sessions get what it says now", async () => {
  await using stage = await openStage("policy", {});
  const { manager } = stage;
  await manager.start("a", plain(), quiet, soon());
  const shared = await attach(manager, "a");
  shared.leave();
  await until("it is not in use", async () => (await manager.inspect("a", soon())).health?.sessions === 0);
  await manager.start("a", own(), quiet, soon());
  expect(folders(stage)).toEqual([]);
  const one = await attach(manager, "a");
  expect(manager.server("a")).toMatchObject({ containers: 1 });
  await manager.start("a", plain(), quiet, soon());
  expect(manager.server("a")).toMatchObject({ state: "ready" });
  expect(manager.server("a").containers).toBeUndefined();
  one.leave();
});
