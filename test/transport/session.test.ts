/** Sessions and control connections against a scripted peer: refusals, broken protocol, back-pressure, ends. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { dialControl } from "../../src/transport/control.ts";
import { dialSession, type SessionEnd } from "../../src/transport/session.ts";
import { tempDir } from "../support/cli.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";
import { ATTACHED, peer } from "./peer.ts";

const soon = () => Deadline.in(5_000);
const isAttach = (line: string) => line.startsWith('{"link":"attach"');

test("uses the first address that accepts, TCP or unix, and says why when none does", async () => {
  await using dir = await tempDir("transport");
  const path = join(dir.path, "s");
  using far = peer((line, socket) => void (isAttach(line) && socket.write(ATTACHED)), { unix: path });
  const closed = peer(() => {});
  closed[Symbol.dispose]();
  const session = await dialSession({ addresses: [closed.endpoint, far.endpoint], token: "t0", session: "s1" }, soon());
  expect(session).toMatchObject({ id: "s1", incarnation: "i1", messageBytes: 16 * 1024 ** 2 });
  expect(JSON.parse(far.lines[0] ?? "")).toEqual({
    link: "attach",
    version: 1,
    token: "t0",
    mode: "session",
    session: "s1",
  });
  session.destroy();
  const failed = dialSession({ addresses: [closed.endpoint, { kind: "unix", path: `${path}-none` }] }, soon());
  expect(await rejection(failed)).toMatchObject({
    kind: "unreachable",
    message: expect.stringContaining("cannot connect to 127.0.0.1:"),
  });
  expect(await rejection(dialSession({ addresses: [] }, soon()))).toMatchObject({ kind: "unreachable" });
});

test.each([
  ['{"link":"error","kind":"unauthenticated","message":"wrong token","hint":"h"}\n', "unauthenticated", "wrong token"],
  ['{"link":"error","kind":"from-the-future","message":"no"}\n', "server-failed", "no"],
  ['{"link":"health"}\n', "unreachable", "invalid"],
  ["not a frame\n", "unreachable", "before it answered"],
  ["", "unreachable", "closed the connection"],
])("an attach answered with %j is a %s fault", async (answer, kind, message) => {
  using far = peer((_line, socket) => void socket.end(answer));
  const fault = await dialSession({ addresses: [far.endpoint] }, soon()).catch((error: unknown) => error);
  expect(fault).toMatchObject({ kind, message: expect.stringContaining(message) });
});

test("a peer that never answers costs no more than the deadline", async () => {
  using far = peer(() => {});
  expect(await rejection(dialSession({ addresses: [far.endpoint] }, Deadline.in(100)))).toMatchObject({
    kind: "timeout",
  });
});

test("lines go both ways, frames stay inside, and both ends are counted", async () => {
  using far = peer((line, socket) => {
    if (isAttach(line)) socket.write(`${ATTACHED}{"jsonrpc":"2.0","method":"early"}\n{"jsonrpc"`);
    else if (line.includes("ping")) socket.write(`:"2.0","id":1,"result":{}}\n{"link":"ack","received":2}\n`);
  });
  const session = await dialSession({ addresses: [far.endpoint] }, soon());
  const got: string[] = [];
  const { promise, resolve } = Promise.withResolvers<SessionEnd>();
  session.open({ line: (message) => void got.push(message), ended: resolve });
  session.send('{"jsonrpc":"2.0","id":1,"method":"ping"}');
  session.send('{"jsonrpc":"2.0","method":"note"}');
  await until("the acknowledgement", () => session.acknowledged === 2);
  expect(got).toEqual(['{"jsonrpc":"2.0","method":"early"}', '{"jsonrpc":"2.0","id":1,"result":{}}']);
  expect(session).toMatchObject({ sent: 2, received: 2 });
  session.detach();
  expect(await promise).toEqual({ why: "detached" });
  expect(far.lines.at(-1)).toBe('{"link":"detach"}');
});

const EXIT =
  '{"link":"exit","session":"s1","code":3,"signal":null,"oom":false,"stderr":["last words"],"reason":"it ended"}\n';

test.each([
  ["an exit frame", EXIT, { why: "exit", report: { code: 3, stderr: ["last words"] } }],
  [
    "an error frame",
    '{"link":"error","kind":"too-large","message":"a message is too long"}\n',
    { why: "lost", fault: { kind: "too-large", message: "a message is too long" } },
  ],
  ["nothing", "", { why: "lost", fault: { kind: "unreachable" } }],
  ["half a message", '{"jsonrpc":"2.0","id"', { why: "lost", fault: { kind: "unreachable" } }],
  ["a broken frame", '{"link":"exit"}\n', { why: "lost", fault: { kind: "unreachable" } }],
])("a connection that ends with %s is reported once", async (_name, last, expected) => {
  using far = peer((line, socket) => {
    if (isAttach(line)) socket.write(ATTACHED);
    else socket.end(last);
  });
  const session = await dialSession({ addresses: [far.endpoint] }, soon());
  const ends: SessionEnd[] = [];
  session.open({ bytes: () => ends.push({ why: "detached" }), ended: (end) => void ends.push(end) });
  session.send("x");
  await until("the end", () => ends.length > 0);
  session.detach();
  session.destroy();
  expect(ends).toMatchObject([expected]);
});

test("a reset connection is a lost one", async () => {
  using far = peer((line, socket) => {
    if (isAttach(line)) socket.write(ATTACHED);
    else socket.terminate();
  });
  const session = await dialSession({ addresses: [far.endpoint] }, soon());
  const { promise, resolve } = Promise.withResolvers<SessionEnd>();
  session.open({ bytes: () => {}, ended: resolve });
  session.send("x");
  expect(await promise).toMatchObject({ why: "lost", fault: { kind: "unreachable" } });
});

test("a peer that does not read holds the writer back; nothing is lost when it reads again", async () => {
  using far = peer((line, socket) => {
    if (!isAttach(line)) return;
    socket.write(ATTACHED);
    socket.pause();
  });
  const session = await dialSession({ addresses: [far.endpoint] }, soon());
  let drained = 0;
  session.open({ bytes: () => {}, drained: () => void (drained += 1), ended: () => {} });
  const message = Buffer.from(`${"y".repeat(256 * 1024 - 1)}\n`);
  let written = 0;
  let writable = true;
  while (writable && written < 1024) {
    writable = session.write(message);
    written += 1;
  }
  expect(writable).toBe(false);
  expect(session.queuedBytes).toBeGreaterThan(0);
  expect(session.queuedBytes).toBeLessThanOrEqual(message.length);
  const attachBytes = far.bytes;
  far.sockets[0]?.resume();
  await until("all bytes at the peer", () => far.bytes - attachBytes === written * message.length);
  expect(drained).toBe(1);
  session.destroy();
});

test("a paused session takes nothing more; after resume everything is there", async () => {
  const burst = `${"z".repeat(1023)}\n`.repeat(64);
  using far = peer((line, socket) => {
    if (isAttach(line)) socket.write(ATTACHED);
    else socket.write(burst);
  });
  const session = await dialSession({ addresses: [far.endpoint] }, soon());
  let bytes = 0;
  session.open({ bytes: (range) => void (bytes += range.length), ended: () => {} });
  session.pause();
  session.send("go");
  await until("the request at the peer", () => far.lines.length === 2);
  expect(bytes).toBe(0);
  session.resume();
  await until("the burst", () => bytes === burst.length);
  session.destroy();
});

test("a control connection asks, is told of exits, and fails what waits when it ends", async () => {
  using far = peer((line, socket) => {
    const { link } = JSON.parse(line);
    if (link === "attach") socket.write(ATTACHED.replace('"session":"s1",', ""));
    if (link === "configure") socket.write('{"link":"configured"}\n');
    if (link === "lease") socket.write(EXIT);
    if (link === "drain") socket.end();
    if (link === "health") {
      socket.write(
        '{"link":"health","status":"ok","version":"1","uptimeMs":1,"processes":2,"sessions":1,"connections":1,"inFlight":0}\n',
      );
    }
  });
  const exits: (number | null)[] = [];
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const events = { exit: (report: { code: number | null }) => void exits.push(report.code), ended: resolve };
  await using control = await dialControl({ addresses: [far.endpoint], token: "t" }, events, soon());
  const answers = await Promise.all([
    control.health(soon()),
    control.configure({ KEY: "v" }, soon()),
    control.health(soon()),
  ]);
  expect(answers[0]).toMatchObject({ status: "ok", processes: 2 });
  control.lease(1000);
  await until("the exit", () => exits.length === 1);
  expect(exits).toEqual([3]);
  control.drain();
  const late = control.health(soon());
  expect(await rejection(late)).toMatchObject({ kind: "unreachable" });
  expect(await promise).toBeUndefined();
  await control.closed(soon());
});
