/** Clients that hardly read: each is held back, then cut, and nobody else notices. In a file of its own: it waits for long. */
import { expect, test } from "bun:test";
import { fixture, TestBridge, TOKEN } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const OBEDIENT = fixture("obedient-server.ts");
const MIB = 1024 ** 2;

test("a client that reads one byte a second, or a part and then nothing: held back, then cut; another session does not notice", async () => {
  await using bridge = await TestBridge.start(OBEDIENT, { args: ["--resume-ms", "0"] });
  const control = await bridge.control();
  const [part, other] = [await bridge.attach({ session: "part" }), await bridge.attach()];
  const flood = { parts: [[`{"jsonrpc":"2.0","method":"n","params":"${"x".repeat(9_960)}"}\n`, 6_400]] };
  part.socket.removeAllListeners("data");
  part.socket.pause();
  part.request(1, "repeat", flood);
  const attach = { link: "attach", version: 1, token: TOKEN, session: "trickle" };
  const request = { jsonrpc: "2.0", id: 1, method: "repeat", params: flood };
  // A shell, because a socket of Node's or Bun's reads ahead.
  const script = `exec 3<>/dev/tcp/127.0.0.1/$1; printf '%s\\n' "$2" "$3" >&3; while sleep 1; do head -c 1 <&3; done`;
  const trickle = Bun.spawn({
    cmd: ["bash", "-c", script, "bash", String(bridge.port), JSON.stringify(attach), JSON.stringify(request)],
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    // Below what makes the queue full, but not all of it.
    await until("bytes for the second", () => part.socket.read(200_000) !== null);
    const ended = new Set<string>();
    let peak = 0;
    for (let i = 0; ended.size < 2; i++) {
      other.request(i, "echo", {});
      expect(await other.message(2_000)).toMatchObject({ id: i });
      peak = Math.max(peak, await bridge.privateBytes());
      const exit = await control.frame("exit", 100).catch(() => undefined);
      if (exit) ended.add(exit.session);
      expect(i).toBeLessThan(300);
    }
    expect([...ended].toSorted()).toEqual(["part", "trickle"]);
    expect(peak).toBeLessThan(80 * MIB);
    expect(bridge.stderr.match(/it is cut/g)).toHaveLength(2);
  } finally {
    trickle.kill("SIGKILL");
  }
  // Byte by byte, to the last.
  expect((await trickle.stdout.text()).length).toBeGreaterThan(5);
}, 60_000);
