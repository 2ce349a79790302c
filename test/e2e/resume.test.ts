/** What a client of a front sees of broken connections between front and bridge: nothing, or one clear error. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { fixture, TestBridge, TOKEN } from "../support/bridge.ts";
import { ChaosProxy } from "../support/chaos-proxy.ts";
import { random } from "../support/ordeal.ts";
import { SEED } from "../support/seed.ts";
import { until } from "../support/until.ts";
import { Detour } from "./detour.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const PLAIN = fixture("plain-server.ts");
let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("process");
  await stage.start("plain", {
    image: `exec:${process.execPath}`,
    args: [join(import.meta.dir, "../fixtures/plain-server.ts")],
  });
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

interface Scene extends AsyncDisposable {
  bridge: TestBridge;
  proxy: ChaosProxy;
  front: RawFront;
}

/** A front with a session on a bridge behind a proxy. */
async function scene(args: string[] = []): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const bridge = stack.use(await TestBridge.start(PLAIN, { args }));
  const proxy = stack.use(await ChaosProxy.start(bridge.port));
  const detour = stack.use(await Detour.open(stage, () => proxy.port));
  const front = stack.use(new RawFront(detour.front("plain")));
  await front.initialize();
  const owned = stack.move();
  return { bridge, proxy, front, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const textOf = (answer: { result?: unknown }) => JSON.stringify(answer.result);
const broke = (bridge: TestBridge) => until("the break", () => bridge.stderr.includes("its connection broke"));
const errors = (front: RawFront) => front.messages.filter(({ error }) => error);

test("50 cuts at random offsets during 500 calls: each is answered, once, by the same process", async () => {
  process.stderr.write(`random test "cuts behind a front": LINKSPAN_SEED=${SEED}\n`);
  const next = random(SEED);
  await using all = await scene();
  const { proxy, front, bridge } = all;
  const pid = textOf(await front.call("process"));
  for (let i = 0; i < 50; i++) {
    const direction = next() < 0.5 ? "up" : "down";
    proxy.cuts.push({ after: Math.floor(next() * 6_000), direction, how: next() < 0.5 ? "reset" : "end" });
  }
  proxy.cutAll();
  let calls = 0;
  while (calls < 500 || proxy.cuts.length > 0) {
    const texts = Array.from({ length: 10 }, () => `${++calls}:${"ü".repeat(Math.floor(next() * 300))}`);
    const answers = await Promise.all(texts.map((text) => front.call("echo", { text })));
    for (const [i, answer] of answers.entries()) expect(textOf(answer)).toContain(`"${texts[i]}"`);
  }
  expect(textOf(await front.call("process"))).toBe(pid);
  expect(bridge.stderr.match(/server process \d+ started/g)).toHaveLength(1);
  const ids = front.messages.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(errors(front)).toEqual([]);
}, 60_000);

test("a client and a server that both talk on while the connection is broken lose nothing", async () => {
  await using all = await scene();
  const { proxy, front, bridge } = all;
  const before = textOf(await front.call("process"));
  const flood = front.ask("tools/call", { name: "flood", arguments: { count: 20_000 } });
  await until("the first", () => front.bytes > 100_000);
  proxy.refusing = true;
  proxy.cutAll();
  await broke(bridge);
  const padding = "c".repeat(1_000);
  // Twice what is kept; the front stops reading, and what it has not read waits with the client.
  const notes = Array.from({ length: 10_000 }, (_, data) => {
    const line = { jsonrpc: "2.0", method: "notifications/count", params: { data, padding } };
    return front.write(Buffer.from(`${JSON.stringify(line)}\n`));
  });
  let taken = 0;
  for (const note of notes) void note.then(() => (taken += 1));
  // Much less is taken than could be in this time.
  await Bun.sleep(500);
  expect(taken).toBeLessThan(5_000);
  proxy.refusing = false;
  await front.answered(flood, 30_000);
  const numbers = front.messages.filter(({ method }) => method !== undefined).map(({ params }) => params?.data);
  expect(numbers).toEqual(Array.from({ length: 20_000 }, (_, number) => number));
  expect(textOf(await front.call("sleepy"))).toContain(
    JSON.stringify('{"received":10000,"ordered":true}').slice(1, -1),
  );
  expect(textOf(await front.call("process"))).toBe(before);
  expect(errors(front)).toEqual([]);
}, 60_000);

test("a session that has expired: one error that says what is not known, then a new process", async () => {
  await using all = await scene(["--resume-ms", "500"]);
  const { proxy, front, bridge } = all;
  const before = textOf(await front.call("process"));
  const hung = front.ask("tools/call", { name: "hang" });
  await front.call("echo");
  proxy.refusing = true;
  proxy.cutAll();
  await until("the expiry", () => bridge.stderr.includes("did not come back within 500 ms"));
  proxy.refusing = false;
  const { error } = await front.answered(hung);
  expect(error).toMatchObject({ code: -32053, message: expect.stringContaining("not known") });
  const after = textOf(await front.call("process"));
  expect(after).not.toBe(before);
  expect(errors(front)).toHaveLength(1);
}, 60_000);

test("a session that another connection has taken: one error that says so, then a session of its own", async () => {
  await using all = await scene();
  const { front, bridge } = all;
  const before = textOf(await front.call("process"));
  const hung = front.ask("tools/call", { name: "hang" });
  await front.call("echo");
  const [, session] = /session (\S+): server process/.exec(bridge.stderr) ?? [];
  const thief = await bridge.connect();
  thief.send({ link: "attach", version: 1, token: TOKEN, session, received: 3 });
  await thief.frame("attached");
  const { error } = await front.answered(hung);
  expect(error?.message).toContain("another connection has taken the session over");
  expect(error?.message).toContain("not known");
  thief.request(1, "tools/call", { name: "process" });
  expect(textOf(await thief.message())).toBe(before);
  expect(textOf(await front.call("process"))).not.toBe(before);
  expect(errors(front)).toHaveLength(1);
}, 60_000);

test("another bridge on the old one's port is not taken for it, and nobody speaks of a wrong token", async () => {
  await using all = await scene();
  const { proxy, front, bridge } = all;
  const hung = front.ask("tools/call", { name: "hang" });
  await front.call("echo");
  await using stranger = await TestBridge.start(PLAIN, {
    token: false,
    args: ["--token-file", "/dev/stdin"],
    launcher: ["bash", "-c", 'exec "$@" < <(echo other)', "bash"],
  });
  proxy.target = stranger.port;
  bridge.process.kill("SIGKILL");
  const { error } = await front.answered(hung);
  expect(error?.message).toContain("another one answers at its address");
  expect(error?.message).toContain("not known");
  expect(error?.message).not.toContain("token");
}, 60_000);
