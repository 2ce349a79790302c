/** What the manager says of servers that crash, freeze, are killed, or hold secrets. Real server processes. */
import { expect, test } from "bun:test";
import { LABEL } from "../../src/runtime/labels.ts";
import { until } from "../support/until.ts";
import { parseBody } from "./specs.ts";
import { ask, faultOf, fixture, openStage, quiet, soon } from "./stage.ts";

const PLAIN = fixture("plain-server.ts");

test("a server process that crashes is the reason shown; one that ends with its session is not", async () => {
  await using stage = await openStage("crash");
  const { manager } = stage;
  await manager.start("plain", PLAIN, quiet, soon());
  await ask(manager, "plain", "echo", "fine");
  await until("its end is known", () => manager.events.recent(100).some(({ kind }) => kind === "process.ended"));
  expect(manager.server("plain").reason).toBeUndefined();
  expect(await ask(manager, "plain", "crash")).toContain("last words before the crash");
  await until("the reason is shown", () => manager.server("plain").reason?.includes("exit code 7"));
  expect(manager.server("plain").state).toBe("ready");
  const [event] = manager.events.recent(100).filter(({ message }) => message.includes("exit code 7"));
  expect(event).toMatchObject({ kind: "process.ended", server: "plain", data: { code: 7 } });
});

test("a bridge that is killed is seen within 2 s, with the reason; the next start works", async () => {
  await using stage = await openStage("killed");
  const { manager } = stage;
  await manager.start("plain", PLAIN, quiet, soon());
  const { raw } = await manager.inspect("plain", soon());
  const pid = (raw as { run: { bridge: { pid: number } } }).run.bridge.pid;
  process.kill(pid, "SIGKILL");
  await until("it is seen", () => manager.server("plain").state === "failed", 2_000);
  expect(manager.server("plain").reason).toContain("SIGKILL");
  expect(await manager.start("plain", undefined, quiet, soon())).toMatchObject({ state: "ready" });
  expect(manager.server("plain").reason).toBeUndefined();
});

test("a bridge that is frozen is unhealthy, and ready again when it goes on", async () => {
  await using stage = await openStage("frozen");
  const { manager } = stage;
  const health = { interval: "1s", timeout: "200ms", retries: 2 };
  await manager.start("plain", fixture("plain-server.ts", [], { health }), quiet, soon());
  const { raw } = await manager.inspect("plain", soon());
  const pid = (raw as { run: { bridge: { pid: number } } }).run.bridge.pid;
  process.kill(pid, "SIGSTOP");
  try {
    await until("it is unhealthy", () => manager.server("plain").state === "unhealthy", 10_000);
    expect(manager.server("plain").reason).toBe("it is paused");
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await until("it is ready", () => manager.server("plain").state === "ready", 10_000);
});

test("inspect: spec without secrets, gaps, the engine's words without our seal, the bridge's health", async () => {
  await using stage = await openStage("inspect");
  const { manager } = stage;
  const secret = "hunter2-not-to-be-seen";
  await manager.start("plain", fixture("plain-server.ts", [], { secrets: { KEY: secret } }), quiet, soon());
  const found = await manager.inspect("plain", soon());
  expect(found.spec.secrets).toEqual({ KEY: "***" });
  expect(found.health).toMatchObject({ status: "ok", sessions: 0 });
  expect(found.gaps.length).toBeGreaterThan(0);
  const text = JSON.stringify(found);
  expect(text).not.toContain(secret);
  expect(JSON.parse(text).raw.labels[LABEL.sealed]).toBe("***");
  expect(JSON.stringify(manager.events.recent(100))).not.toContain(secret);
  expect(manager.servers()).toHaveLength(1);
  const stats = await manager.stats("plain", soon());
  expect(stats.memoryBytes).toBeGreaterThan(1_000_000);
  await manager.stop("plain", soon());
  expect((await faultOf(manager.stats("plain", soon()))).kind).toBe("conflict");
  expect((await manager.inspect("plain", soon())).health).toBeUndefined();
});

test("secrets reach the server process, and only it", async () => {
  await using stage = await openStage("secrets");
  const { manager } = stage;
  const script = `process.stdin.on("data", () => console.log(JSON.stringify({ jsonrpc: "2.0", id: 1, result: process.env.KEY })))`;
  const body = parseBody({
    image: `exec:${process.execPath}`,
    args: ["-e", script],
    secrets: { KEY: "top ü secret" },
  });
  await manager.start("keeper", body, quiet, soon());
  expect(await ask(manager, "keeper", "any")).toContain("top ü secret");
});
