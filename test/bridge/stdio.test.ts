/** Both ways to carry a child's streams, the sockets of Linux and Node's pipes of the other systems, do the same. */
import { describe, expect, test } from "bun:test";
import { spawnOnSockets } from "../../bridge/stdio-sockets.ts";
import { spawnOnStreams } from "../../bridge/stdio-streams.ts";
import type { Stdio, StdioEvents } from "../../bridge/stdio.ts";
import { until } from "../support/until.ts";

const ways = [
  ["sockets", spawnOnSockets],
  ["streams", spawnOnStreams],
] as const;

class Seen implements StdioEvents {
  out = "";
  outBytes = 0;
  err = "";
  outEnded = 0;
  errEnded = 0;
  empty = 0;
  broken = 0;
  exit: [number | null, string | null] | undefined;
  output(chunk: Uint8Array): void {
    this.outBytes += chunk.length;
    if (this.outBytes < 1_000_000) this.out += Buffer.from(chunk).toString();
  }
  outputEnded = () => void this.outEnded++;
  inputEmpty = () => void this.empty++;
  inputBroken = () => void this.broken++;
  stderr(chunk: Uint8Array): undefined {
    this.err += Buffer.from(chunk).toString();
  }
  stderrEnded = () => void this.errEnded++;
  exited(code: number | null, signal: string | null): void {
    this.exit = [code, signal];
  }
}

describe.each(process.platform === "linux" ? ways : ways.slice(1))("on %s", (_, spawn) => {
  function sh(script: string, seen: Seen): Stdio {
    return spawn({ argv: ["sh", "-c", script], env: { PATH: process.env.PATH ?? "", NAME: "value" } }, seen);
  }

  async function over(seen: Seen): Promise<void> {
    await until("the end of the process and its streams", () => Boolean(seen.exit && seen.outEnded && seen.errEnded));
  }

  test("input, output, errors, environment and status pass", async () => {
    const seen = new Seen();
    const stdio = sh('cat; echo "$NAME" >&2; exit 3', seen);
    stdio.write(Buffer.from("one\n"));
    stdio.write(Buffer.from("two\n"));
    stdio.endInput();
    stdio.endInput();
    await over(seen);
    expect([seen.out, seen.err, seen.exit, seen.outEnded, seen.errEnded]).toEqual([
      "one\ntwo\n",
      "value\n",
      [3, null],
      1,
      1,
    ]);
    stdio.release();
    stdio.release();
  });

  test("the process leads a group of its own", async () => {
    const seen = new Seen();
    const stdio = sh("sleep 60 & echo ready; wait", seen);
    await until("the output", () => seen.out === "ready\n");
    process.kill(-stdio.pid, "SIGTERM");
    await over(seen);
    expect(seen.exit).toEqual([null, "SIGTERM"]);
    stdio.release();
  });

  test("output that is paused waits and holds the process back, and is complete in the end", async () => {
    const seen = new Seen();
    const stdio = sh("printf start; read go; head -c 50000000 /dev/zero; echo written >&2", seen);
    await until("the start", () => seen.out === "start");
    stdio.pauseOutput();
    stdio.write(Buffer.from("go\n"));
    await Bun.sleep(200);
    expect(seen.err).toBe("");
    expect(seen.outBytes).toBeLessThan(1_000_000);
    stdio.resumeOutput();
    await over(seen);
    expect([seen.outBytes, seen.err]).toEqual([50_000_005, "written\n"]);
    stdio.release();
  });

  test("output that waits when the process ends is not lost", async () => {
    const seen = new Seen();
    const stdio = sh("printf start; read go; head -c 150000 /dev/zero", seen);
    await until("the start", () => seen.out === "start");
    stdio.pauseOutput();
    stdio.write(Buffer.from("go\n"));
    await until("the end of the process", () => seen.exit);
    stdio.resumeOutput();
    await over(seen);
    expect(seen.outBytes).toBe(150_005);
    stdio.release();
  });

  test("input that the process does not read waits, is counted and then arrives whole", async () => {
    const seen = new Seen();
    const stdio = sh("sleep 0.3; wc -c", seen);
    const block = Buffer.alloc(1_000_000, "x");
    for (let i = 0; i < 5; i++) stdio.write(block);
    expect(stdio.queuedBytes).toBeGreaterThan(1_000_000);
    await until("an empty queue", () => seen.empty > 0);
    expect(stdio.queuedBytes).toBe(0);
    stdio.endInput();
    await over(seen);
    expect(seen.out.trim()).toBe("5000000");
    stdio.release();
  });

  test("after the release nothing is told any more, and the process can be left behind", async () => {
    const seen = new Seen();
    const stdio = sh("trap '' PIPE; sleep 0.2; echo late; echo late >&2; exit 0", seen);
    stdio.release();
    stdio.write(Buffer.from("never"));
    await until("the end of the process", () => seen.exit);
    await Bun.sleep(50);
    expect([seen.out, seen.outEnded, seen.broken]).toEqual(["", 0, 0]);
  });

  test("a command that does not exist throws", () => {
    expect(() => spawn({ argv: ["/no/such/command"], env: {} }, new Seen())).toThrow();
  });
});
