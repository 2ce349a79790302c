/** Getting onto a bridge when the connection breaks before it answers, or when another one answers. */
import { expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { dialSession, type SessionEnd } from "../../src/transport/session.ts";
import { fixture, TestBridge, TOKEN } from "../support/bridge.ts";
import { ChaosProxy, type Cut } from "../support/chaos-proxy.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";
import { ATTACHED, peer } from "./peer.ts";

const OBEDIENT = fixture("obedient-server.ts");
const soon = () => Deadline.in(10_000);
const to = (port: number) => [{ kind: "tcp", host: "127.0.0.1", port }] as const;
const isAttach = (line: string) => line.startsWith('{"link":"attach"');

/** Where a first connection can break: before the bridge has heard of it, in the middle of `attach`, of the answer. */
const cuts: [string, Omit<Cut, "how">, connections: number][] = [
  // One more, to hear that the bridge knows nothing of the session.
  ["in the middle of attach", { direction: "up", after: 20 }, 4],
  ["after the first byte of the answer", { direction: "down", after: 1 }, 3],
  ["in the middle of the answer", { direction: "down", after: 100 }, 3],
];

test.each(cuts)(
  "a first connection that breaks %s is replaced; there is one server",
  async (_where, cut, connections) => {
    await using bridge = await TestBridge.start(OBEDIENT);
    await using proxy = await ChaosProxy.start(bridge.port);
    for (const how of ["reset", "end"] as const) {
      proxy.cuts.push({ ...cut, how }, { ...cut, how });
      const session = await dialSession({ addresses: to(proxy.port), token: TOKEN, session: `by-${how}` }, soon());
      const lines: string[] = [];
      session.open({ line: (line) => void lines.push(line), ended: () => {} });
      session.send('{"jsonrpc":"2.0","id":1,"method":"echo","params":{}}');
      await until("the answer", () => lines.length === 1);
      session.detach();
    }
    expect(proxy.connections).toBe(2 * connections);
    expect(bridge.stderr.match(/server process \d+ started/g)).toHaveLength(2);
  },
);

test("a bridge that ends every connection before it answers is given up after a few", async () => {
  using far = peer((_line, socket) => void socket.end());
  const failed = dialSession({ addresses: [far.endpoint], session: "s1" }, soon());
  expect(await rejection(failed)).toMatchObject({ kind: "unreachable", message: expect.stringContaining("attached") });
  expect(far.sockets).toHaveLength(6);
});

test.each([
  ["another token", { token: false, args: ["--token-file", "/dev/stdin"] }],
  ["the same token", {}],
])("another bridge with %s at the old address is told from the old one", async (what, options) => {
  const old = await TestBridge.start(OBEDIENT);
  await using proxy = await ChaosProxy.start(old.port);
  const session = await dialSession({ addresses: to(proxy.port), token: TOKEN, session: "s1" }, soon());
  const ends: SessionEnd[] = [];
  session.open({ line: () => {}, ended: (end) => void ends.push(end) });
  old.process.kill("SIGKILL");
  proxy.refusing = true;
  await old[Symbol.asyncDispose]();
  const launcher = what === "another token" ? ["bash", "-c", 'exec "$@" < <(echo other)', "bash"] : [];
  await using next = await TestBridge.start(OBEDIENT, { ...options, launcher });
  proxy.target = next.port;
  proxy.refusing = false;
  await until("the end", () => ends.length === 1);
  const [end] = ends;
  if (end?.why !== "lost") throw new Error(`the session ended as ${end?.why}`);
  expect(end.fault.kind).toBe("unreachable");
  expect(end.fault.message).not.toContain("token");
  expect(end.fault.message).toContain(what === "another token" ? "another one answers" : "was started anew");
});

test("frames behind half a message do not pile up; a bridge with a lease still hears of us", async () => {
  const attached = ATTACHED.replace('"queueBytes":4194304', '"queueBytes":4194304,"resumeMs":30000,"leaseMs":3000');
  using far = peer((line, socket) => {
    if (!isAttach(line)) return;
    const resumed = line.includes('"received":');
    socket.write(attached.replace('"resumed":false', `"resumed":${resumed}`));
    // Each asks for an acknowledgement of its own.
    for (let i = 0; i < 20; i++) setTimeout(() => socket.write(`{"jsonrpc":"2.0","method":"n"}\n`.repeat(256)), i * 20);
  });
  const session = await dialSession({ addresses: [far.endpoint], session: "s1" }, soon());
  session.open({ bytes: () => {}, ended: () => {} });
  session.write(Buffer.from('{"jsonrpc":"2.0",'));
  await until("a sign of life without an end of the message", () => far.sockets.length === 2, 8_000);
  expect(far.lines.every(isAttach)).toBe(true);
  session.write(Buffer.from('"method":"x"}\n'));
  await until("the message and the frames", () => far.lines.length >= 4);
  const [message, ...frames] = far.lines.filter((line) => !isAttach(line));
  expect(message).toBe('{"jsonrpc":"2.0","method":"x"}');
  // One acknowledgement at most waited, and one lease.
  expect(frames.length).toBeLessThanOrEqual(2);
  session.destroy();
}, 20_000);
