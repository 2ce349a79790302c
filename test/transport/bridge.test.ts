/** The near end of the wire against the real far end. */
import { expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { dialControl } from "../../src/transport/control.ts";
import { dialSession, type Session, type SessionEnd } from "../../src/transport/session.ts";
import { fixture, TestBridge, TOKEN } from "../support/bridge.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";

const soon = () => Deadline.in(10_000);
const address = (bridge: TestBridge) => ({ kind: "tcp", host: "127.0.0.1", port: bridge.port }) as const;

/** A session whose answers are collected. */
async function open(bridge: TestBridge, session: string) {
  const opened = await dialSession({ addresses: [address(bridge)], token: TOKEN, session }, soon());
  const lines: string[] = [];
  const ends: SessionEnd[] = [];
  opened.open({ line: (line) => void lines.push(line), ended: (end) => void ends.push(end) });
  return { session: opened, lines, ends };
}

function call(session: Session, id: number, name: string, args: Record<string, unknown> = {}): void {
  session.send(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args } }));
}

test("a session: messages, counts, a crash with its report", async () => {
  await using bridge = await TestBridge.start(fixture("plain-server.ts"));
  const { session, lines, ends } = await open(bridge, "mcp-session-1-2-3");
  expect(session).toMatchObject({ id: "mcp-session-1-2-3", messageBytes: 16 * 1024 ** 2 });
  for (let id = 1; id <= 200; id += 1) call(session, id, "echo", { text: `ü${id}` });
  await until("all answers", () => lines.length === 200);
  expect(lines[199]).toContain("ü200");
  expect(session).toMatchObject({ sent: 200, received: 200 });
  call(session, 201, "crash");
  await until("the end", () => ends.length === 1);
  expect(ends).toMatchObject([{ why: "exit", report: { code: 7, signal: null, oom: false } }]);
  expect(JSON.parse(lines[200] ?? "")).toMatchObject({ id: 201, error: { code: -32052 } });
});

test("a session that is finished still gets its answers; one that is detached ends", async () => {
  await using bridge = await TestBridge.start(fixture("plain-server.ts"));
  const finished = await open(bridge, "one");
  call(finished.session, 1, "sleepy", { count: 200 });
  finished.session.finish();
  const detached = await open(bridge, "two");
  detached.session.detach();
  await until("both ends", () => finished.ends.length === 1 && detached.ends.length === 1);
  expect(finished.lines).toHaveLength(1);
  expect(detached.ends).toEqual([{ why: "detached" }]);
});

test("a wrong token is refused for either mode", async () => {
  await using bridge = await TestBridge.start(fixture("plain-server.ts"));
  const options = { addresses: [address(bridge)], token: `${TOKEN}x` };
  expect(await rejection(dialSession(options, soon()))).toMatchObject({ kind: "unauthenticated" });
  expect(await rejection(dialControl(options, {}, soon()))).toMatchObject({ kind: "unauthenticated" });
});

test("control: health, secrets for servers that start later, word of every exit, the end", async () => {
  await using bridge = await TestBridge.start(fixture("plain-server.ts"), { args: ["--await-configure"] });
  const exits: string[] = [];
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const events = { exit: ({ session }: { session: string }) => void exits.push(session), ended: resolve };
  const control = await dialControl({ addresses: [address(bridge)], token: TOKEN }, events, soon());
  const waiting = open(bridge, "one");
  expect(await control.health(soon())).toMatchObject({ status: "ok", processes: 0 });
  await control.configure({ SECRET: "for the server" }, soon());
  const { session, lines, ends } = await waiting;
  expect(session.incarnation).toBe(control.incarnation);
  call(session, 1, "env", { text: "SECRET" });
  await until("the answer", () => lines.length === 1);
  expect(lines[0]).toContain("for the server");
  expect(await control.health(soon())).toMatchObject({ processes: 1, sessions: 1, connections: 2 });
  call(session, 2, "end");
  await until("the end of the session", () => ends.length === 1 && exits.length === 1);
  expect(exits).toEqual(["one"]);
  control.exit(1_000);
  expect(await promise).toBeUndefined();
  expect(await bridge.process.exited).toBe(0);
});

test("an unused bridge is drained as one step; one with a session does not notice that it was asked", async () => {
  await using bridge = await TestBridge.start(fixture("plain-server.ts"));
  const control = await dialControl({ addresses: [address(bridge)], token: TOKEN }, {}, soon());
  const { session, lines } = await open(bridge, "one");
  call(session, 1, "echo", { text: "before" });
  await until("the answer", () => lines.length === 1);
  expect(await control.drainWhenIdle(soon())).toBe(false);
  expect(await control.health(soon())).toMatchObject({ status: "ok", sessions: 1 });
  call(session, 2, "echo", { text: "after" });
  await until("the second answer", () => lines.length === 2);
  session.detach();
  await until("the end of the session", async () => (await control.health(soon())).processes === 0);
  expect(await control.drainWhenIdle(soon())).toBe(true);
  expect(await bridge.process.exited).toBe(0);
});
