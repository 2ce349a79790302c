/** Floods and slow readers on every side: memory stays bounded, nothing is lost or doubled, other sessions go on. */
import { describe, expect, test } from "bun:test";
import { fixture, type LineClient, TestBridge, TOKEN } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");
const MIB = 1024 * 1024;

/** The largest private memory of the bridge while `work` runs. */
async function peakDuring(bridge: TestBridge, work: Promise<unknown>): Promise<number> {
  let peak = 0;
  let over = false;
  const done = work.finally(() => (over = true));
  while (!over) {
    peak = Math.max(peak, await bridge.privateBytes());
    await Promise.race([Bun.sleep(20), done]);
  }
  await done;
  return peak;
}

async function answers(client: LineClient, id: number, ms = 10_000): Promise<void> {
  client.request(id, "echo", {});
  expect(await client.message(ms)).toMatchObject({ id });
}

describe("a server that floods", () => {
  test("200 MB of stderr: memory bounded, the last lines kept, another session answers meanwhile", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const [client, other] = [await bridge.attach(), await bridge.attach()];
    const flood = async () => {
      client.request(1, "stderr", { bytes: 200 * MIB });
      for (let i = 0; i < 20; i++) await answers(other, i, 2_000);
      expect(await client.message(40_000)).toMatchObject({ id: 1 });
      client.request(2, "stderr", { text: "the very last line" });
      expect(await client.message(10_000)).toMatchObject({ id: 2 });
      client.request(3, "exit", { code: 3 });
      const { stderr } = await client.frame("exit");
      expect(stderr.at(-1)).toBe("the very last line");
      expect(stderr).toHaveLength(20);
    };
    expect(await peakDuring(bridge, flood())).toBeLessThan(60 * MIB);
  }, 60_000);

  test("stderr that nobody reads does not stop the server or the bridge", async () => {
    // The reader of the bridge's stderr sleeps.
    const launcher = ["bash", "-c", 'exec "$@" 2> >(exec sleep 60)', "bash"];
    await using bridge = await TestBridge.start(OBEDIENT, { launcher });
    const client = await bridge.attach();
    client.request(1, "stderr", { bytes: 20 * MIB });
    expect(await client.message(20_000)).toMatchObject({ id: 1 });
    await answers(client, 2);
    expect(await bridge.privateBytes()).toBeLessThan(60 * MIB);
  }, 40_000);

  test("256 MB without a newline: memory bounded, then everything goes on", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const [client, other] = [await bridge.attach(), await bridge.attach()];
    const flood = async () => {
      client.request(1, "endless", { bytes: 256 * MIB });
      for (let i = 0; i < 20; i++) await answers(other, i, 2_000);
      expect(await client.message(40_000)).toMatchObject({ id: 1, result: "ended" });
      await answers(client, 2);
    };
    expect(await peakDuring(bridge, flood())).toBeLessThan(100 * MIB);
    await until("the log", () => bridge.stderr.includes("too long from the server"));
  }, 60_000);

  test("two million tiny lines of noise, then 300,000 messages, all of which arrive in order", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const [client, other] = [await bridge.plain(), await bridge.attach()];
    const note = '{"jsonrpc":"2.0","method":"n"}';
    const flood = async () => {
      client.request(1, "repeat", {
        parts: [
          ["{}\n", 2_000_000],
          [`${note}\n`, 300_000],
        ],
      });
      for (let i = 0; i < 20; i++) await answers(other, i, 2_000);
      await until("all messages", () => client.lines.length > 300_000, 40_000);
    };
    expect(await peakDuring(bridge, flood())).toBeLessThan(80 * MIB);
    expect(client.lines.slice(0, 300_000).every((line) => line === note)).toBe(true);
    expect(client.lines.slice(300_000)).toEqual(['{"jsonrpc":"2.0","id":1,"result":"repeated"}']);
    const control = await bridge.control();
    control.send({ link: "health" });
    expect((await control.frame("health")).dropped).toBe(2_000_000);
  }, 60_000);
});

describe("a slow reader", () => {
  test("holds its server back and then gets every byte", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.plain();
    client.socket.pause();
    const work = async () => {
      client.request(1, "repeat", {
        parts: [[`{"jsonrpc":"2.0","method":"n","params":"${"x".repeat(9_960)}"}\n`, 6_400]],
      });
      // Nothing moves any more: what fits is on its way, and the server waits.
      await Bun.sleep(1_500);
      client.socket.resume();
      await until("the end of it", () => client.lines.at(-1)?.includes("repeated"), 20_000);
    };
    expect(await peakDuring(bridge, work())).toBeLessThan(80 * MIB);
    expect(client.lines).toHaveLength(6_401);
    expect(new Set(client.lines.map((line) => line.length)).size).toBe(2);
  }, 40_000);

  test("that takes nothing for 10 s with a full queue is cut; another session does not notice", async () => {
    await using bridge = await TestBridge.start(OBEDIENT, { args: ["--resume-ms", "0"] });
    const [client, other, control] = [
      await bridge.attach({ session: "deaf" }),
      await bridge.attach(),
      await bridge.control(),
    ];
    client.socket.pause();
    client.request(1, "repeat", {
      parts: [[`{"jsonrpc":"2.0","method":"n","params":"${"x".repeat(9_960)}"}\n`, 6_400]],
    });
    const meanwhile = async () => {
      for (let i = 0; i < 50; i++) {
        await answers(other, i, 2_000);
        await Bun.sleep(100);
      }
      return await control.frame("exit", 15_000);
    };
    let report: { session: string } | undefined;
    const peak = await peakDuring(
      bridge,
      meanwhile().then((exit) => (report = exit)),
    );
    expect(report?.session).toBe("deaf");
    expect(peak).toBeLessThan(80 * MIB);
    expect(bridge.stderr).toContain("it is cut");
  }, 40_000);

  test("its own errors do not fill memory either, when it sends nonsense and never reads", async () => {
    await using bridge = await TestBridge.start(OBEDIENT);
    const client = await bridge.attach();
    client.socket.pause();
    const nonsense = Buffer.from("nonsense\n".repeat(10_000));
    const work = async () => {
      for (let i = 0; i < 200 && !client.closed; i++) {
        client.socket.write(nonsense);
        await Bun.sleep(5);
      }
    };
    expect(await peakDuring(bridge, work())).toBeLessThan(80 * MIB);
    // The bridge has stopped reading long before the end.
    expect(client.socket.writableLength).toBeGreaterThan(0);
  }, 20_000);
});

describe("a server that does not read", () => {
  test("holds its client back and then gets every byte", async () => {
    // Returns what it has read as its own notifications, but starts late.
    await using bridge = await TestBridge.start(["sh", "-c", "sleep 1.5; exec cat"]);
    const client = await bridge.plain();
    const line = `{"jsonrpc":"2.0","method":"n","params":"${"x".repeat(9_960)}"}\n`;
    const work = async () => {
      for (let i = 0; i < 3_200; i++) client.socket.write(line);
      await Bun.sleep(1_000);
      // More than the bridge and the sockets hold was sent.
      expect(client.socket.writableLength).toBeGreaterThan(0);
      await until("all lines", () => client.lines.length === 3_200, 20_000);
    };
    expect(await peakDuring(bridge, work())).toBeLessThan(80 * MIB);
    expect(client.lines.every((got) => `${got}\n` === line)).toBe(true);
  }, 40_000);
});

test("with no descriptors left new clients are refused, a session that is there goes on", async () => {
  await using bridge = await TestBridge.start(fixture("obedient-server.ts"), {
    launcher: ["prlimit", "--nofile=48:48"],
  });
  const client = await bridge.attach();
  const others = await Promise.all(Array.from({ length: 48 }, () => bridge.connect()));
  const said = (other: LineClient) => other.lines.some((line) => line.includes('"kind":"exhausted"'));
  await until("refusals", () => others.some(said));
  client.request(1, "echo", { text: "still here" });
  expect(await client.message()).toMatchObject({ id: 1 });
  for (const other of others) other.destroy();
  await until("a client that is served again", async () => {
    const late = await bridge.connect();
    late.send({ link: "attach", version: 1, token: TOKEN });
    return (await late.line()).startsWith('{"link":"attached"');
  });
});
