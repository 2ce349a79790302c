/** What a network does to a bridge: packets that vanish, bytes that come one by one or late, no descriptor left. */
import { describe, expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { dialSession } from "../../src/transport/session.ts";
import { fixture, LineClient, TestBridge, TOKEN } from "../support/bridge.ts";
import { Cable, CABLES } from "../support/cable.ts";
import { ChaosProxy } from "../support/chaos-proxy.ts";
import { random } from "../support/ordeal.ts";
import { SEED } from "../support/seed.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");

if (!CABLES) process.stderr.write("!! the test of half-open connections is SKIPPED: no network namespaces here\n");

test.skipIf(!CABLES)(
  "packets vanish: both ends notice within 30 s, with nothing to say and with something",
  async () => {
    using cable = Cable.lay();
    const { host, launcher } = cable;
    // The session of a connection that is known to be gone ends at once.
    await using bridge = await TestBridge.start(OBEDIENT, { host, launcher, args: ["--resume-ms", "1000"] });
    const broken = new Map<string, number>();
    const open = async (name: string) => {
      const addresses = [{ kind: "tcp", host, port: bridge.port }] as const;
      const session = await dialSession({ addresses, token: TOKEN, session: name }, Deadline.in(10_000));
      const gone = () => void broken.set(name, performance.now());
      session.open({ line: () => {}, interrupted: gone, ended: () => {} });
      return session;
    };
    const [idle, busy] = [await open("idle"), await open("busy")];
    busy.send('{"jsonrpc":"2.0","id":1,"method":"echo","params":{}}');
    await until("the answer", () => busy.received === 1);
    cable.pull();
    const pulledAt = performance.now();
    busy.send('{"jsonrpc":"2.0","id":2,"method":"echo","params":{}}');
    await until("that the dialler notices", () => broken.size === 2, 30_000);
    for (const name of ["idle", "busy"]) {
      await until(
        `that the bridge notices ${name}`,
        () => bridge.stderr.includes(`session ${name}: its connection broke`),
        30_000,
      );
      await until(`the end of ${name}`, () => bridge.stderr.includes(`session ${name}: its client did not come back`));
    }
    expect(performance.now() - pulledAt).toBeLessThan(32_000);
    idle.destroy();
    busy.destroy();
  },
  60_000,
);

test("no descriptor is left: who is there is served, a session that cannot be started says why, then all is well", async () => {
  const launcher = ["prlimit", "--nofile=80", "--"];
  await using bridge = await TestBridge.start(OBEDIENT, { launcher });
  const client = await bridge.attach();
  const crowd: LineClient[] = [];
  const served = async (id: number) => {
    client.request(id, "echo", {});
    expect(await client.message()).toMatchObject({ id });
  };
  try {
    // Those that the bridge cannot accept wait in the system.
    for (let i = 0; i < 120; i++) crowd.push(await LineClient.connect(bridge.port));
    for (let i = 0; i < 10; i++) await served(i);
    expect(bridge.process.exitCode).toBeNull();
  } finally {
    for (const each of crowd) each.destroy();
  }
  await served(100);
  await until("room for another session", async () => {
    const again = await bridge.connect();
    again.send({ link: "attach", version: 1, token: TOKEN });
    const line = await again.line(5_000).catch(() => "");
    again.destroy();
    return line.includes('"attached"');
  });
}, 60_000);

describe("bytes in slices, and late", () => {
  test.each([
    ["one byte at a time", () => 1, () => 0],
    ["slices of random size with random delays", undefined, undefined],
  ])(
    "%s: the same results",
    async (_what, bytes, delayMs) => {
      process.stderr.write(`random test "slices": LINKSPAN_SEED=${SEED}\n`);
      const next = random(SEED);
      await using bridge = await TestBridge.start(OBEDIENT);
      await using proxy = await ChaosProxy.start(bridge.port);
      proxy.slices = {
        bytes: bytes ?? (() => Math.ceil(next() * 40)),
        delayMs: delayMs ?? (() => (next() < 0.1 ? Math.floor(next() * 20) : 0)),
      };
      const addresses = [{ kind: "tcp", host: "127.0.0.1", port: proxy.port }] as const;
      const session = await dialSession({ addresses, token: TOKEN, session: "sliced" }, Deadline.in(10_000));
      const lines: string[] = [];
      session.open({ line: (line) => void lines.push(line), ended: () => {} });
      const texts = Array.from({ length: 20 }, (_, i) => `${i}: ${"é😀\u2028".repeat(Math.floor(next() * 30))}`);
      for (const [id, text] of texts.entries()) {
        session.send(JSON.stringify({ jsonrpc: "2.0", id, method: "echo", params: { text } }));
      }
      await until("all answers", () => lines.length === texts.length, 20_000);
      expect(lines.map((line) => JSON.parse(line))).toEqual(
        texts.map((text, id) => ({ jsonrpc: "2.0", id, result: { text } })),
      );
      session.detach();
    },
    60_000,
  );
});
