/** The wire as a dialler sees it: who gets in, what is answered, how sessions and the bridge end. */
import { describe, expect, test } from "bun:test";
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
    expect(attached.limits).toEqual({
      messageBytes: 16 * 1024 * 1024,
      queueBytes: 4 * 1024 * 1024,
      resumeMs: 30_000,
      leaseMs: 0,
    });
    client.request(1, "echo", { a: 1 });
    expect(await client.message()).toMatchObject({ id: 1, result: { a: 1 } });
    client.send({ link: "detach", drain: true });
    expect(await client.frame("exit")).toMatchObject({ session: "mcp-session-1-2-3", code: 0, signal: null });
    await client.toEnd();
  });

  test("a dialler of a later version is served in this one, whatever members it adds", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.connect();
    client.send(`{"link":"attach","version":99,"token":"${TOKEN}","session":"later","more":{"deep":[1]}}\n`);
    expect(await client.frame("attached")).toMatchObject({ version: 1, session: "later", resumed: false });
    client.request(1, "echo", { a: 1 });
    expect(await client.message()).toMatchObject({ id: 1, result: { a: 1 } });
    const control = await bridge.connect();
    control.send(`{"link":"attach","version":99,"token":"${TOKEN}","mode":"control","more":1}\n`);
    expect(await control.frame("attached")).toMatchObject({ version: 1 });
    control.send('{"link":"health","more":true}\n');
    expect(await control.frame("health")).toMatchObject({ status: "ok", sessions: 1 });
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

  test("attach, requests, the word that there are no more, and half-close in one packet", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.connect();
    const lines = [
      { link: "attach", version: 1, token: TOKEN },
      { jsonrpc: "2.0", id: 1, method: "echo", params: {} },
      { jsonrpc: "2.0", id: 2, method: "echo", params: {} },
      { link: "detach", drain: true },
    ];
    client.send(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
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
      expect((await client.toEnd(4_000)).join("")).toContain('"kind":"timeout"');
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
    await using bridge = await TestBridge.start(OBEDIENT, { args: ["--resume-ms", "0"] });
    const control = await bridge.control();
    const client = await bridge.attach({ session: "gone" });
    client.request(1, "silence");
    client.destroy();
    expect(await control.frame("exit", 5_000)).toMatchObject({ session: "gone" });
  });
});

describe("signals", () => {
  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
    ["SIGHUP", 129],
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
    await until("the acknowledgement", () => client.acknowledged === 1_024);
  });
});
