/** What a manager asks a bridge, and what `linkspan health` does. */
import { describe, expect, test } from "bun:test";
import { BINARY } from "../support/binary.ts";
import { fixture, TestBridge, TOKEN } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");

describe("control connections", () => {
  test("report health", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    client.request(1, "silence");
    client.request(2, "echo");
    await client.message();
    const control = await bridge.control();
    control.send({ link: "health" });
    const health = await control.frame("health");
    expect(health).toMatchObject({ status: "ok", processes: 1, sessions: 1, connections: 2, inFlight: 1 });
    expect(health.uptimeMs).toBeGreaterThan(0);
  });

  test("carry no JSON-RPC", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const control = await bridge.control();
    control.request(1, "echo");
    expect(await control.message()).toMatchObject({ link: "error", kind: "usage" });
    await control.toEnd();
  });

  test("see every end of a server, and the last one is in the health report", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const control = await bridge.control();
    const client = await bridge.attach({ session: "s7" });
    client.request(1, "exit", { code: 7 });
    expect(await control.frame("exit")).toMatchObject({ session: "s7", code: 7, signal: null, oom: false });
    control.send({ link: "health" });
    expect(await control.frame("health")).toMatchObject({ processes: 0, lastExit: { session: "s7", code: 7 } });
  });

  test("hand over secrets, which reach servers and nobody else", async () => {
    const args = ["--await-configure"];
    await using bridge = await TestBridge.start(OBEDIENT, {
      args,
      env: { LINKSPAN_CHILD_ENV: '{"FROM_SPEC":"spec"}' },
    });
    const control = await bridge.control();
    const client = await bridge.connect();
    client.send({ link: "attach", version: 1, token: TOKEN });
    client.request(1, "environment");
    await until("the session that waits", async () => {
      control.send({ link: "health" });
      const { processes, sessions } = await control.frame("health");
      expect(processes).toBe(0);
      return sessions === 1;
    });
    control.send({ link: "configure", env: { API_KEY: "the-secret" } });
    await control.frame("configured");
    await client.frame("attached");
    const environment = (await client.message()).result as Record<string, string>;
    expect(environment).toMatchObject({ API_KEY: "the-secret", FROM_SPEC: "spec", PATH: process.env.PATH });
    expect(Object.keys(environment).filter((name) => name.startsWith("LINKSPAN_"))).toEqual([]);
    expect(bridge.stderr).not.toContain("the-secret");
  });

  test("an invalid configure is refused without repeating the secret", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const control = await bridge.control();
    control.send({ link: "configure", env: { "NOT A NAME": "the-secret", OTHER: 12345678 } });
    const refusal = await control.line();
    expect(refusal).toContain('"kind":"usage"');
    expect(refusal).not.toMatch(/the-secret|12345678/);
  });

  test("drain lets the session finish, refuses new ones, then the bridge exits 0", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const control = await bridge.control();
    const client = await bridge.attach();
    client.request(1, "later", { ms: 300 });
    control.send({ link: "drain" });
    control.send({ link: "health" });
    expect(await control.frame("health")).toMatchObject({ status: "draining" });
    const late = await bridge.connect();
    late.send({ link: "attach", version: 1, token: TOKEN });
    expect(await late.message()).toMatchObject({ link: "error", kind: "unreachable" });
    expect(await client.message()).toMatchObject({ id: 1, result: { ms: 300 } });
    client.send({ link: "detach" });
    expect(await bridge.exited()).toBe(0);
  });

  test("exit ends sessions and bridge within the given time, with exit code 0", async () => {
    await using bridge = await TestBridge.start(fixture("stubborn-server.sh"));
    const control = await bridge.control();
    const client = await bridge.attach();
    client.request(1, "anything");
    await until("the server", () => bridge.stderr.includes("stubborn"));
    const startedAt = performance.now();
    control.send({ link: "exit", graceMs: 400 });
    expect(await client.message()).toMatchObject({
      id: 1,
      error: { data: { kind: "server-failed", signal: "SIGKILL" } },
    });
    expect(await bridge.exited()).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });

  test("a lease that nobody renews ends the bridge, but not under a client", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const control = await bridge.control();
    const client = await bridge.attach();
    control.send({ link: "lease", ttlMs: 1_500 });
    control.destroy();
    for (let i = 0; i < 10; i++) {
      client.request(i, "later", { ms: 200 });
      expect(await client.message()).toMatchObject({ id: i });
    }
    client.send({ link: "detach" });
    expect(await bridge.exited()).toBe(0);
    expect(bridge.stderr).toContain("lease");
  });

  test("a lifted lease does not end it", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const control = await bridge.control();
    control.send({ link: "lease", ttlMs: 200 });
    control.send({ link: "lease", ttlMs: 0 });
    const client = await bridge.attach();
    client.request(1, "later", { ms: 500 });
    await client.message();
    client.destroy();
    control.send({ link: "health" });
    await control.frame("health");
  });
});

describe("linkspan health", () => {
  async function health(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const child = Bun.spawn({ cmd: [BINARY, "health", ...args], stdio: ["ignore", "pipe", "pipe"] });
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, out, err };
  }

  test("needs no token on the machine itself", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const out = "ok: 0 sessions, 0 processes, 0 requests in flight\n";
    expect(await health(`127.0.0.1:${bridge.port}`)).toEqual({ code: 0, out, err: "" });
  });

  test("says when the server cannot be started", async () => {
    await using bridge = await TestBridge.start(["/no/such/server"]);
    const client = await bridge.connect();
    client.send({ link: "attach", version: 1, token: TOKEN });
    await client.toEnd();
    expect((await health(`127.0.0.1:${bridge.port}`)).code).toBe(1);
  });

  test("fails where nobody listens, where somebody else does, and on nonsense", async () => {
    using other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
    expect((await health("127.0.0.1:1")).code).toBe(1);
    expect((await health(`127.0.0.1:${other.port}`)).code).toBe(1);
    expect((await health("nonsense")).code).toBe(1);
  });

  test("asks a manager over HTTP", async () => {
    using manager = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (request) =>
        new Response('{"status":"ok"}', { status: new URL(request.url).pathname === "/health" ? 200 : 404 }),
    });
    expect(await health(`http://127.0.0.1:${manager.port}`)).toMatchObject({ code: 0, out: "ok\n" });
    expect((await health("http://127.0.0.1:1")).code).toBe(1);
  });
});
