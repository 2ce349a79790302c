/** What a bridge says of servers that freeze, fall silent, talk nonsense or compute: each as itself, within two looks. */
import { describe, expect, test } from "bun:test";
import { BINARY } from "../support/binary.ts";
import { fixture, type LineClient, TestBridge } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const AILING = fixture("ailing-server.ts");
/** Sooner than this two looks are one (bridge/checkup.ts). */
const LOOK_MS = 1_000;
const ENV = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};

async function report(control: LineClient) {
  control.send({ link: "health" });
  return await control.frame("health");
}

/** The second of two looks. */
async function lookTwice(control: LineClient) {
  await report(control);
  await Bun.sleep(LOOK_MS);
  return await report(control);
}

async function legacySession(bridge: TestBridge): Promise<LineClient> {
  const client = await bridge.attach();
  client.request(0, "initialize", { protocolVersion: "2025-11-25" });
  expect(await client.message()).toMatchObject({ id: 0, result: { serverInfo: { name: "ailing" } } });
  return client;
}

function call(client: LineClient, id: number, name: string, args = {}): void {
  client.request(id, "tools/call", { name, arguments: args });
}

async function textOf(client: LineClient): Promise<string> {
  const { result } = await client.message(20_000);
  return (result as { content: { text: string }[] }).content[0]?.text ?? "";
}

async function healthCommand(bridge: TestBridge): Promise<{ code: number; text: string }> {
  const child = Bun.spawn([BINARY, "health", `127.0.0.1:${bridge.port}`], { stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, text: out + err };
}

describe.concurrent("a server process that", () => {
  test("is stopped by SIGSTOP is that at the first look, also for the container's health check", async () => {
    await using bridge = await TestBridge.start(AILING);
    const control = await bridge.control();
    const client = await legacySession(bridge);
    await legacySession(bridge);
    call(client, 1, "pid");
    const pid = Number(await textOf(client));
    expect(await report(control)).toMatchObject({ status: "ok", processes: 2 });
    process.kill(pid, "SIGSTOP");
    const message = `server process ${pid} is stopped (SIGSTOP or a debugger)`;
    // A signal is delivered when the process is next run.
    const found = await until("the report", async () => {
      const found = await report(control);
      return found.trouble ? found : undefined;
    });
    expect(found).toMatchObject({ status: "unhealthy", trouble: { kind: "stopped", message, sessions: 1 } });
    const checked = await healthCommand(bridge);
    expect(checked.code).toBe(1);
    expect(checked.text).toContain(message);
    process.kill(pid, "SIGCONT");
    await until("its return", async () => (await report(control)).status === "ok");
    expect((await healthCommand(bridge)).code).toBe(0);
  });

  test("answers nothing although it has nothing to do is silent", async () => {
    await using bridge = await TestBridge.start(AILING);
    const control = await bridge.control();
    const client = await legacySession(bridge);
    expect(await lookTwice(control)).toMatchObject({ status: "ok", busy: 0 });
    call(client, 1, "mute-later");
    expect(await textOf(client)).toBe("muted");
    // The first look saw the answer, and asks.
    await lookTwice(control);
    await Bun.sleep(LOOK_MS);
    expect(await report(control)).toMatchObject({
      status: "unhealthy",
      trouble: {
        kind: "silent",
        message: expect.stringMatching(/^server process \d+ runs but does not answer a ping$/),
      },
    });
  });

  test("answers with garbage and ids that nobody asked for talks nonsense", async () => {
    await using bridge = await TestBridge.start(AILING);
    const control = await bridge.control();
    const client = await legacySession(bridge);
    call(client, 1, "babble");
    expect(await textOf(client)).toBe("babbling");
    await lookTwice(control);
    call(client, 2, "pid");
    await Bun.sleep(LOOK_MS);
    expect(await report(control)).toMatchObject({ status: "unhealthy", trouble: { kind: "nonsense" } });
    expect(client.lines).toEqual([]);
  });

  test("talks nonsense from its first word on does so, too", async () => {
    const script = `while read -r line; do echo 'no message'; echo '{"jsonrpc":"2.0","id":"x","result":{}}'; done`;
    await using bridge = await TestBridge.start(["sh", "-c", script]);
    const control = await bridge.control();
    const client = await bridge.attach();
    client.request(0, "initialize", { protocolVersion: "2025-11-25" });
    await report(control);
    client.request(1, "initialize", { protocolVersion: "2025-11-25" });
    await Bun.sleep(LOOK_MS);
    expect(await report(control)).toMatchObject({ trouble: { kind: "nonsense" } });
  });

  test("computes and answers no ping is busy, with a request under way or after it was given up", async () => {
    await using bridge = await TestBridge.start(AILING);
    const control = await bridge.control();
    const client = await legacySession(bridge);
    call(client, 1, "compute", { ms: 4_500 });
    await report(control);
    await Bun.sleep(LOOK_MS);
    expect(await report(control)).toMatchObject({ status: "ok", busy: 1, inFlight: 1 });
    client.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } });
    await Bun.sleep(LOOK_MS);
    expect(await report(control)).toMatchObject({ status: "ok", busy: 1, inFlight: 0 });
    expect((await healthCommand(bridge)).text).toContain("1 busy");
    // An answer that comes all the same reaches the client, which may have given up too late.
    expect(await textOf(client)).toBe("computed");
    await Bun.sleep(LOOK_MS);
    expect(await report(control)).toMatchObject({ status: "ok", busy: 0 });
  }, 30_000);

  test("is of the modern era is asked in that era", async () => {
    await using bridge = await TestBridge.start([...AILING, "--modern"]);
    const control = await bridge.control();
    const client = await bridge.attach();
    client.request(0, "server/discover", { _meta: ENV });
    expect(await client.message()).toMatchObject({ id: 0, result: {} });
    await lookTwice(control);
    await Bun.sleep(LOOK_MS);
    expect(await report(control)).toMatchObject({ status: "ok", dropped: 0 });
    client.request(1, "tools/call", { _meta: ENV, name: "mute-later" });
    await client.message();
    await lookTwice(control);
    await Bun.sleep(LOOK_MS);
    expect(await report(control)).toMatchObject({ trouble: { kind: "silent" } });
  });
});

test("a client sees nothing of the questions, and a server that is no MCP server is not asked", async () => {
  await using bridge = await TestBridge.start(fixture("obedient-server.ts"));
  const control = await bridge.control();
  const plain = await bridge.attach();
  plain.request(1, "echo", { text: "x" });
  await plain.message();
  await lookTwice(control);
  await Bun.sleep(LOOK_MS);
  expect(await report(control)).toMatchObject({ status: "ok", dropped: 0 });
  expect(plain.lines).toEqual([]);
});
