/** Where a resume has its limits: too much is missing, it comes too late, or somebody else has come before. */
import { expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { dialSession, type Session, type SessionEnd } from "../../src/transport/session.ts";
import { fixture, TestBridge, TOKEN } from "../support/bridge.ts";
import { ChaosProxy } from "../support/chaos-proxy.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");
const MIB = 1024 ** 2;
const NOTE = `{"jsonrpc":"2.0","method":"n","params":"${"x".repeat(9_960)}"}\n`;

interface Open {
  session: Session;
  lines: string[];
  ends: SessionEnd[];
}

async function open(port: number): Promise<Open> {
  const addresses = [{ kind: "tcp", host: "127.0.0.1", port }] as const;
  const session = await dialSession({ addresses, token: TOKEN, session: "one" }, Deadline.in(10_000));
  const opened: Open = { session, lines: [], ends: [] };
  session.open({ line: (line) => void opened.lines.push(line), ended: (end) => void opened.ends.push(end) });
  return opened;
}

function lostBy({ ends }: Open): { kind: string; message: string } {
  expect(ends).toHaveLength(1);
  if (ends[0]?.why !== "lost") throw new Error(`the session ended: ${ends[0]?.why}`);
  return ends[0].fault;
}

async function noServers(bridge: TestBridge): Promise<void> {
  const control = await bridge.control();
  await until("the end of the server", async () => {
    control.send({ link: "health" });
    const { processes, sessions } = await control.frame("health");
    return processes === 0 && sessions === 0;
  });
}

test("what was given up of the server's is missed: a resume is refused with the gap, and the session ends", async () => {
  await using bridge = await TestBridge.start(OBEDIENT);
  const client = await bridge.attach({ session: "one" });
  // It takes all and acknowledges nothing, so the bridge cannot keep all of it.
  client.request(1, "repeat", { parts: [[NOTE, 2_000]] });
  await until("everything", () => client.lines.length === 2_001);
  client.destroy();
  await until("the break", () => bridge.stderr.includes("its connection broke"));
  const again = await bridge.connect();
  again.send({ link: "attach", version: 1, token: TOKEN, session: "one", received: 3 });
  const refused = await again.message();
  expect(refused).toMatchObject({ link: "error", kind: "conflict" });
  expect(JSON.stringify(refused)).toMatch(/messages 4 to \d+ were not acknowledged in time/);
  expect(await again.toEnd()).toEqual([]);
  await noServers(bridge);
  expect(bridge.stderr).toContain("cannot be resumed: messages 4 to");
});

test("a writer that does not wait while the connection is broken: one error, and the bridge lets go", async () => {
  await using bridge = await TestBridge.start(OBEDIENT, { args: ["--resume-ms", "700"] });
  await using proxy = await ChaosProxy.start(bridge.port);
  const opened = await open(proxy.port);
  proxy.refusing = true;
  proxy.cutAll();
  await until("the break", () => bridge.stderr.includes("its connection broke"));
  let bytes = 0;
  for (; opened.ends.length === 0 && bytes < 64 * MIB; bytes += NOTE.length) opened.session.write(Buffer.from(NOTE));
  // A message of the longest kind, and twice what is kept.
  expect(bytes).toBeLessThan(26 * MIB);
  expect(lostBy(opened)).toMatchObject({ kind: "exhausted", message: expect.stringContaining("without a hole") });
  await noServers(bridge);
  expect(opened.lines).toEqual([]);
  expect(bridge.stderr).toContain("its client did not come back within 700 ms");
});

test("a server that talks on while the connection is broken waits; then everything is there, in order", async () => {
  await using bridge = await TestBridge.start(OBEDIENT);
  await using proxy = await ChaosProxy.start(bridge.port);
  const opened = await open(proxy.port);
  const parts = Array.from({ length: 20 }, (_, i): [string, number] => [NOTE.replace("xxx", `x${i + 10}`), 150]);
  opened.session.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "repeat", params: { parts } }));
  await until("the first", () => opened.lines.length > 0);
  proxy.refusing = true;
  proxy.cutAll();
  const before = opened.lines.length;
  await until("the break", () => bridge.stderr.includes("its connection broke"));
  const memory = await bridge.privateBytes();
  proxy.refusing = false;
  await until("everything", () => opened.lines.length === 3_001, 20_000);
  expect(before).toBeLessThan(3_000);
  expect(memory).toBeLessThan(80 * MIB);
  const said = parts.flatMap(([line, times]) => Array.from({ length: times }, () => line));
  expect(opened.lines.slice(0, 3_000).every((line, i) => `${line}\n` === said[i])).toBe(true);
  expect(opened.ends).toEqual([]);
  opened.session.detach();
});

test("a second connection takes the session over: the first one is told once and hears nothing more", async () => {
  await using bridge = await TestBridge.start(OBEDIENT);
  const first = await open(bridge.port);
  first.session.send('{"jsonrpc":"2.0","id":1,"method":"pid","params":{}}');
  await until("the PID", () => first.lines.length === 1);
  const second = await bridge.attach({ session: "one", received: 1 });
  await until("the end of the first", () => first.ends.length === 1);
  expect(lostBy(first)).toMatchObject({ kind: "conflict", message: "another connection has taken the session over" });
  second.request(2, "pid");
  expect((await second.message()).result).toBe(JSON.parse(first.lines[0] ?? "").result);
  expect(first.lines).toHaveLength(1);
  expect(first.ends).toHaveLength(1);
  second.send({ link: "detach" });
  await noServers(bridge);
});

test("who comes back too late finds no session; its server is stopped when the time is over", async () => {
  await using bridge = await TestBridge.start(OBEDIENT, { args: ["--resume-ms", "500"] });
  await using proxy = await ChaosProxy.start(bridge.port);
  const opened = await open(proxy.port);
  opened.session.send('{"jsonrpc":"2.0","id":1,"method":"silence","params":{}}');
  await until("the request at the bridge", () => opened.session.acknowledged === 1);
  proxy.refusing = true;
  proxy.cutAll();
  await until("the expiry", () => bridge.stderr.includes("did not come back within 500 ms"));
  proxy.refusing = false;
  await until("the end", () => opened.ends.length === 1);
  expect(lostBy(opened)).toMatchObject({ kind: "unreachable", message: expect.stringContaining("cannot go on") });
  await noServers(bridge);
  const late = await bridge.connect();
  late.send({ link: "attach", version: 1, token: TOKEN, session: "one", received: 0 });
  expect(await late.message()).toMatchObject({ link: "error", kind: "not-found" });
});
