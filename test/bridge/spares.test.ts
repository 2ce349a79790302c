/** Server processes that are started ahead: who gets them, what follows them, and that they do not outlive anything. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { fixture, type LineClient, TestBridge } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");

async function report(control: LineClient) {
  control.send({ link: "health" });
  return await control.frame("health");
}

async function spares(control: LineClient, count: number): Promise<void> {
  await until(`${count} spares`, async () => (await report(control)).spares === count);
}

function pidsIn(bridge: TestBridge, pattern: RegExp): number[] {
  return [...bridge.stderr.matchAll(pattern)].map(([, pid]) => Number(pid));
}

function gone(pid: number): Promise<boolean> {
  return until(`the end of process ${pid}`, () => !existsSync(`/proc/${pid}`));
}

async function pidOf(client: LineClient): Promise<number> {
  client.request(1, "pid");
  return Number((await client.message()).result);
}

test("a session takes one over and is answered without the time that a start takes; the next one follows", async () => {
  const loadMs = 1_500;
  await using bridge = await TestBridge.start([...fixture("ailing-server.ts"), `--load=${loadMs}`], {
    args: ["--spare", "2"],
  });
  const control = await bridge.control();
  await spares(control, 2);
  const ahead = pidsIn(bridge, /spare-\d+: server process (\d+) started/g);
  await until("they have loaded", () => bridge.stderr.split("loaded").length > 2, 20_000);
  const first = await bridge.attach();
  const startedAt = performance.now();
  first.request(0, "initialize", { protocolVersion: "2025-11-25" });
  expect(await first.message()).toMatchObject({ id: 0, result: { serverInfo: { name: "ailing" } } });
  expect(performance.now() - startedAt).toBeLessThan(loadMs);
  first.request(1, "tools/call", { name: "pid" });
  expect(JSON.stringify((await first.message()).result)).toContain(`"${ahead[0]}"`);
  await spares(control, 2);
  expect(await report(control)).toMatchObject({ status: "ok", processes: 1, sessions: 1, inFlight: 0 });
  expect(bridge.stderr).toContain(`server process ${ahead[0]} started ahead`);
  first.send({ link: "detach" });
  await gone(ahead[0] ?? 0);
  expect(await report(control)).toMatchObject({ spares: 2 });
}, 30_000);

test("what one has said before anybody asked reaches its session", async () => {
  const words = '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"ready"}}';
  const command = [
    "sh",
    "-c",
    `echo '${words}'; echo said >&2; read -r line; echo '{"jsonrpc":"2.0","id":1,"result":1}'`,
  ];
  await using bridge = await TestBridge.start(command, { args: ["--spare", "1"] });
  await until("its words", () => bridge.stderr.includes("said"));
  const client = await bridge.attach();
  client.request(1, "any");
  expect(await client.line()).toBe(words);
  expect(await client.message()).toMatchObject({ id: 1, result: 1 });
});

test("they wait for the secrets, and others replace them when the secrets change", async () => {
  await using bridge = await TestBridge.start(OBEDIENT, { args: ["--spare", "1", "--await-configure"] });
  const control = await bridge.control();
  expect(await report(control)).toMatchObject({ spares: 0, processes: 0 });
  control.send({ link: "configure", env: { KEY: "one" } });
  await spares(control, 1);
  const [old = 0] = pidsIn(bridge, /spare-\d+: server process (\d+) started/g);
  control.send({ link: "configure", env: { KEY: "two" } });
  await gone(old);
  await spares(control, 1);
  const client = await bridge.attach();
  client.request(1, "environment");
  expect((await client.message()).result).toMatchObject({ KEY: "two" });
  expect(bridge.stderr).toContain("started ahead");
});

test("one that dies is replaced; one that is stopped is not given to anybody", async () => {
  await using bridge = await TestBridge.start(OBEDIENT, { args: ["--spare", "1"] });
  const control = await bridge.control();
  await spares(control, 1);
  const [first = 0] = pidsIn(bridge, /spare-\d+: server process (\d+) started/g);
  process.kill(first, "SIGKILL");
  expect(await control.frame("exit")).toMatchObject({ session: "spare-1", signal: "SIGKILL" });
  await spares(control, 1);
  const second = pidsIn(bridge, /spare-\d+: server process (\d+) started/g).at(-1) ?? 0;
  process.kill(second, "SIGSTOP");
  await until("it is stopped", async () => /\) T /.test(await Bun.file(`/proc/${second}/stat`).text()));
  expect(await pidOf(await bridge.attach())).not.toBe(second);
  await gone(second);
});

test("a server that cannot live is not started in a loop, and what is wrong is said", async () => {
  await using bridge = await TestBridge.start(["sh", "-c", "echo no config >&2; exit 78"], { args: ["--spare", "4"] });
  const control = await bridge.control();
  const found = await until("the first four", async () => {
    const found = await report(control);
    return bridge.stderr.split("no config").length > 4 && found.lastExit ? found : undefined;
  });
  expect(found).toMatchObject({ spares: 0, lastExit: { code: 78, stderr: ["no config"] } });
  // The next four are started after 1, 2, 4 … s: until then there are four, not hundreds.
  expect(bridge.stderr.split("started").length - 1).toBeLessThanOrEqual(8);
});

test("a drain and a stop end them, and a bridge with spares only is idle", async () => {
  await using bridge = await TestBridge.start(OBEDIENT, { args: ["--spare", "3"] });
  const control = await bridge.control();
  await spares(control, 3);
  const pids = pidsIn(bridge, /spare-\d+: server process (\d+) started/g);
  control.send({ link: "drain", whenIdle: true });
  expect(await control.frame("health")).toMatchObject({ status: "draining" });
  expect(await bridge.exited()).toBe(0);
  for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
  await using other = await TestBridge.start(fixture("stubborn-server.sh"), {
    args: ["--spare", "2", "--stop-ms", "600"],
  });
  await until("the traps", () => other.stderr.split("stubborn server").length > 2);
  other.process.kill("SIGTERM");
  expect(await other.exited()).toBe(143);
  for (const pid of pidsIn(other, /spare-\d+: server process (\d+) started/g)) await gone(pid);
});
