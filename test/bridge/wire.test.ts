/** The wire as a dialler sees it: who gets in, what is answered, how sessions and the bridge end. */
import { describe, expect, test } from "bun:test";
import { BINARY } from "../support/binary.ts";
import { fixture, LineClient, TestBridge, TOKEN } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");

describe("attach", () => {
  test("opens a session on the full wire", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.connect();
    client.send({ link: "attach", version: 1, token: TOKEN, session: "mcp-session-1-2-3" });
    const attached = await client.frame("attached");
    expect(attached).toMatchObject({ version: 1, session: "mcp-session-1-2-3", resumed: false, received: 0 });
    expect(attached.limits).toEqual({ messageBytes: 16 * 1024 * 1024, queueBytes: 4 * 1024 * 1024 });
    client.request(1, "echo", { a: 1 });
    expect(await client.message()).toMatchObject({ id: 1, result: { a: 1 } });
    client.end();
    expect(await client.frame("exit")).toMatchObject({ session: "mcp-session-1-2-3", code: 0, signal: null });
    await client.toEnd();
  });

  test("a client without version is sent JSON-RPC only, from the first byte to the last", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.plain();
    client.request("a", "echo", {});
    client.end();
    expect(await client.toEnd()).toEqual(['{"jsonrpc":"2.0","id":"a","result":{}}']);
  });

  test("where no token is asked for, JSON-RPC may come at once", async () => {
    await using bridge = await TestBridge.start(OBEDIENT, { token: false });
    const client = await bridge.connect();
    client.request(1, "echo", { now: true });
    expect(await client.message()).toMatchObject({ id: 1, result: { now: true } });
  });

  test("attach, requests and half-close in one packet", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.connect();
    const lines = [
      { link: "attach", version: 1, token: TOKEN },
      { jsonrpc: "2.0", id: 1, method: "echo", params: {} },
      { jsonrpc: "2.0", id: 2, method: "echo", params: {} },
    ];
    client.send(`${lines.map((line) => JSON.stringify(line)).join("\n")}`);
    client.end();
    const got = await client.toEnd();
    expect(got.filter((line) => line.startsWith('{"jsonrpc"'))).toHaveLength(2);
    expect(got.at(-1)).toStartWith('{"link":"exit"');
  });

  test("two sessions that use the same ids have two servers and never meet", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const [a, b] = [await bridge.attach(), await bridge.attach()];
    for (let id = 0; id < 200; id++) {
      a.request(id, "echo", { of: "a", id });
      b.request(id, "echo", { of: "b", id });
    }
    for (const [client, of] of [
      [a, "a"],
      [b, "b"],
    ] as const) {
      for (let id = 0; id < 200; id++) expect(await client.message()).toMatchObject({ id, result: { of, id } });
    }
    a.request("pid", "pid");
    b.request("pid", "pid");
    expect((await a.message()).result).not.toBe((await b.message()).result);
  });

  test("a session with a live connection is not given to another one", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const first = await bridge.attach({ session: "one" });
    const second = await bridge.connect();
    second.send({ link: "attach", version: 1, token: TOKEN, session: "one" });
    expect(await second.message()).toMatchObject({ link: "error", kind: "conflict" });
    first.send({ link: "detach" });
    await first.toEnd();
    await bridge.attach({ session: "one" });
  });
});

describe("authentication", () => {
  const refusals: [string, object | string, string][] = [
    ["a wrong token", { link: "attach", version: 1, token: "wrong" }, "unauthenticated"],
    ["no token", { link: "attach", version: 1 }, "unauthenticated"],
    ["an empty token", { link: "attach", version: 1, token: "" }, "unauthenticated"],
    ["JSON-RPC", { jsonrpc: "2.0", id: 1, method: "echo" }, "unauthenticated"],
    ["another frame", { link: "exit", graceMs: 0 }, "unauthenticated"],
    ["a frame that is no JSON", '{"link":"attach"\n', "usage"],
    ["a frame of an unknown kind", { link: "nonsense" }, "usage"],
    ["a wire version that never was", { link: "attach", version: 0, token: TOKEN }, "unsupported"],
    ["a first line without end", `{"link":"attach","token":"${"x".repeat(20_000)}`, "too-large"],
  ];

  test.each(refusals)("refuses %s", async (_, first, kind) => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.connect();
    client.send(first);
    expect(await client.message()).toMatchObject({ link: "error", kind });
    expect(await client.toEnd()).toEqual([]);
    // No server was started for it.
    expect(bridge.stderr).not.toContain("server process");
  });

  test("silence and half a line end the connection within the limit", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const [silent, slow] = [await bridge.connect(), await bridge.connect()];
    slow.send('{"link":');
    for (const client of [silent, slow]) {
      expect((await client.toEnd(4_000)).join("")).toContain("unauthenticated");
    }
  });

  test("a token file is as good as a hash, and its line end does not count", async () => {
    const file = `${process.env.TMPDIR ?? "/tmp"}/linkspan-token-${process.pid}`;
    await Bun.write(file, "secret\n");
    await using bridge = await TestBridge.start(OBEDIENT, { token: false, args: ["--token-file", file] });
    const client = await bridge.connect();
    client.send({ link: "attach", version: 1, token: "secret" });
    await client.frame("attached");
    await Bun.file(file).delete();
  });
});

describe("connections", () => {
  test("above the cap are refused, and those that are there go on", async () => {
    await using bridge = await TestBridge.start(OBEDIENT, { token: false });
    const client = await bridge.attach({});
    const idle = await Promise.all(Array.from({ length: 1_023 }, () => LineClient.connect(bridge.port)));
    try {
      const refused = await bridge.connect();
      expect((await refused.toEnd()).join("")).toContain('"kind":"exhausted"');
      client.request(1, "echo", {});
      expect(await client.message()).toMatchObject({ id: 1 });
    } finally {
      for (const connection of idle) connection.destroy();
    }
    // Their places are free again.
    await until("a place", async () => {
      const again = await bridge.connect();
      again.send({ link: "attach", version: 1 });
      return await again.frame("attached").catch(() => undefined);
    });
  });

  test("sessions above --max-sessions are refused", async () => {
    await using bridge = await TestBridge.start(OBEDIENT, { args: ["--max-sessions", "1"] });
    const first = await bridge.attach();
    const second = await bridge.connect();
    second.send({ link: "attach", version: 1, token: TOKEN });
    expect(await second.message()).toMatchObject({ link: "error", kind: "exhausted" });
    first.send({ link: "detach" });
    await first.toEnd();
    await until("the place of the first session", async () => {
      const third = await bridge.connect();
      third.send({ link: "attach", version: 1, token: TOKEN });
      return await third.frame("attached").catch(() => undefined);
    });
  });

  test("a client that is gone altogether frees its session, even with a request in flight", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const control = await bridge.control();
    const client = await bridge.attach({ session: "gone" });
    client.request(1, "silence");
    client.destroy();
    expect(await control.frame("exit", 5_000)).toMatchObject({ session: "gone" });
  });
});

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
    control.send({ link: "lease", ttlMs: 300 });
    control.destroy();
    for (let i = 0; i < 5; i++) {
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

describe("signals", () => {
  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("%s stops servers, tells clients and exits %i", async (signal, code) => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    client.request(1, "silence");
    client.request(2, "echo");
    expect(await client.message()).toMatchObject({ id: 2 });
    bridge.process.kill(signal);
    expect(await client.message()).toMatchObject({ id: 1, error: { code: -32052 } });
    expect((await client.frame("exit")).reason).toContain("stopped");
    expect(await bridge.exited()).toBe(code);
  });
});

describe("acknowledgement", () => {
  test("the bridge tells what it has received, and takes the dialler's word", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    client.send({ link: "ack", received: 0 });
    const line = `${JSON.stringify({ jsonrpc: "2.0", method: "notifications/x" })}\n`;
    client.send(line.repeat(1_024));
    expect((await client.frame("ack")).received).toBeGreaterThanOrEqual(1_024);
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
