/** Sessions at a shared server: those that break and come back, those that read nothing, those that leave, and its end. */
import { describe, expect, test } from "bun:test";
import { fixture, type LineClient, TestBridge } from "../../support/bridge.ts";
import { ordeal } from "../../support/ordeal.ts";
import { SEED } from "../../support/seed.ts";
import { until } from "../../support/until.ts";

const ARGS = ["--policy", "shared"];
const CROWD = fixture("crowd-server.ts");
const MIB = 1024 ** 2;

function call(client: LineClient, id: number, how: object = {}): void {
  client.request(id, "tools/call", { name: "t", arguments: { who: "x", n: id, ...how }, _meta: { progressToken: id } });
}

async function seen(
  client: LineClient,
): Promise<{ pid: number; calls: number; cancelled: unknown[]; uris: string[]; levels: string[] }> {
  client.request("seen", "seen");
  for (;;) {
    const message = await client.message();
    if (message.id === "seen") return message.result as Awaited<ReturnType<typeof seen>>;
  }
}

test("a session is resumed as ever: nothing lost, nothing doubled", async () => {
  process.stderr.write(`cut connections, shared: LINKSPAN_SEED=${SEED}\n`);
  const outcome = await ordeal({ seed: SEED, calls: 800, cuts: 40, offsetMax: 16_000, deadlineMs: 60_000, args: ARGS });
  const { wrong, missing, ends, breaks, resumes, notifications, server, serverNotified, pids } = outcome;
  expect({ wrong, missing, ends }).toEqual({ wrong: [], missing: 0, ends: [] });
  expect(resumes).toBe(breaks);
  expect(notifications.received).toBe(notifications.sent);
  expect(notifications.ordered && server.ordered).toBe(true);
  expect(server.received).toBe(serverNotified);
  expect(pids[0]).toBe(pids[1] ?? "");
}, 90_000);

describe("a client that reads nothing", () => {
  test("is cut, and does not hold up the others", async () => {
    await using bridge = await TestBridge.start(CROWD, { args: ARGS });
    const slow = await bridge.attach();
    const quick = await bridge.attach();
    slow.socket.pause();
    // More than the kernel and the queue take together.
    for (let id = 1; id <= 64; id++) call(slow, id, { bytes: MIB });
    let slowestMs = 0;
    for (let id = 1; id <= 300; id++) {
      const startedAt = performance.now();
      call(quick, id);
      expect(await quick.message()).toMatchObject({ id, result: { n: id } });
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    }
    // Far from the ten seconds for which a queue may be full.
    expect(slowestMs).toBeLessThan(3_000);
    await until("the cut", () => bridge.stderr.includes("it is cut"), 15_000);
    expect(await bridge.privateBytes()).toBeLessThan(160 * MIB);
    call(quick, 0);
    expect(await quick.message()).toMatchObject({ id: 0 });
  }, 60_000);

  test("but comes back to its senses gets everything", async () => {
    await using bridge = await TestBridge.start(CROWD, { args: ARGS });
    const client = await bridge.plain();
    for (let id = 1; id <= 48; id++) call(client, id, { bytes: MIB });
    for (let id = 1; id <= 48; id++) expect((await client.message()).result).toMatchObject({ n: id });
    expect(bridge.stderr).not.toContain("is cut");
  }, 60_000);
});

describe("a client that leaves", () => {
  test("takes its requests, subscriptions and log level with it, not the server", async () => {
    await using bridge = await TestBridge.start(CROWD, { args: [...ARGS, "--resume-ms", "0"] });
    const [leaving, staying] = [await bridge.attach(), await bridge.attach()];
    for (const client of [leaving, staying]) client.request("s", "resources/subscribe", { uri: "file:///both" });
    leaving.request("s2", "resources/subscribe", { uri: "file:///one" });
    leaving.request("l", "logging/setLevel", { level: "debug" });
    staying.request("l", "logging/setLevel", { level: "error" });
    call(leaving, 1, { ms: 60_000 });
    const before = await seen(staying);
    await until("the call", async () => (await seen(staying)).calls === 1);
    leaving.destroy();
    await until("the cancellation", async () => (await seen(staying)).cancelled.length === 1);
    const after = await seen(staying);
    expect(after.pid).toBe(before.pid);
    expect(after.uris.filter((line) => line.includes("unsubscribe"))).toEqual(["resources/unsubscribe file:///one"]);
    expect(after.levels.at(-1)).toBe("error");
    const control = await bridge.control();
    control.send({ link: "health" });
    expect(await control.frame("health")).toMatchObject({ processes: 1, sessions: 1 });
  });

  test("after a half-close still gets what it waits for", async () => {
    await using bridge = await TestBridge.start(CROWD, { args: ARGS });
    const other = await bridge.plain();
    const client = await bridge.plain();
    call(client, 1, { ms: 300 });
    client.end();
    expect((await client.toEnd()).map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { id: 1, result: { n: 1 } },
    ]);
    expect((await seen(other)).cancelled).toEqual([]);
  });

  test("as the last one leaves the process; a drained bridge ends it", async () => {
    await using bridge = await TestBridge.start(CROWD, { args: ARGS });
    const client = await bridge.attach();
    const { pid } = await seen(client);
    client.send({ link: "detach" });
    await client.toEnd();
    const next = await bridge.attach();
    expect((await seen(next)).pid).toBe(pid);
    next.send({ link: "detach" });
    const control = await bridge.control();
    control.send({ link: "drain" });
    expect(await bridge.exited()).toBe(0);
    expect(() => process.kill(pid, 0)).toThrow();
  });
});

test("the end of a shared server is the end of every session; one crash is one, and the next client starts it anew", async () => {
  await using bridge = await TestBridge.start(CROWD, { args: ARGS });
  // More than make a crash loop, if each counted by itself.
  const clients = await Promise.all(Array.from({ length: 8 }, () => bridge.attach()));
  for (const client of clients) call(client, 7, { ms: 60_000 });
  clients[0]?.request("exit", "exit");
  for (const client of clients) {
    const lines = await client.toEnd();
    const [error] = lines.map((line) => JSON.parse(line) as { id: number; error: { code: number } });
    expect(error).toMatchObject({ id: 7, error: { code: -32052 } });
    expect(lines.at(-1)).toStartWith('{"link":"exit"');
  }
  const next = await bridge.attach();
  expect(await seen(next)).toMatchObject({ calls: 0 });
});

test("a program that cannot be started is said to each client", async () => {
  await using bridge = await TestBridge.start(["/no/such/program"], { args: ARGS });
  for (let count = 0; count < 2; count++) {
    const client = await bridge.connect();
    client.send({ link: "attach", version: 1, token: "a-token-for-tests" });
    expect(await client.frame("error")).toMatchObject({ kind: "server-failed" });
  }
});
