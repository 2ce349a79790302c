/** However a front ends, its session is free soon after; and whatever it waits for, it waits without the processor. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { cpuWithin } from "../support/cpu.ts";
import { until } from "../support/until.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
/** faults.md. */
const GONE_MS = 2_000;
const FREE_MS = 5_000;
const LOOK_MS = 1_000;
/** A tenth of a processor: timers and keepalives are far below, a loop takes a whole one. */
const BUSY_MS = LOOK_MS / 10;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("process");
  await stage.start("plain", { image: `exec:${process.execPath}`, args: [PLAIN] });
}, 30_000);
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

async function opened(): Promise<RawFront> {
  const front = new RawFront(stage.front("plain"));
  await front.initialize();
  await front.call("echo", { text: "there" });
  return front;
}

const hasSession = async ({ pid }: RawFront) => (await stage.sessions()).some((session) => session.pid === pid);
const hasEnded = ({ process: { exitCode, signalCode } }: RawFront) => exitCode !== null || signalCode !== null;

describe("a front", () => {
  test.each([
    ["SIGKILL", (front: RawFront) => void front.process.kill("SIGKILL")],
    ["the end of its input", (front: RawFront) => front.endInput()],
    [
      "the end of its input in the middle of a call",
      (front: RawFront) => (front.ask("tools/call", { name: "hang" }), front.endInput()),
    ],
    [
      "a reader of its output that has left",
      (front: RawFront) => (front.process.stdout.destroy(), void front.ask("ping")),
    ],
    [
      "a reader that has left in the middle of a flood",
      (front: RawFront) => {
        front.ask("tools/call", { name: "flood", arguments: { count: 100_000 } });
        front.process.stdout.once("data", () => front.process.stdout.destroy());
      },
    ],
  ])(
    "ends within 2 s of %s, and its session is free within 5 s",
    async (_how, end) => {
      const front = await opened();
      try {
        expect(await hasSession(front)).toBe(true);
        end(front);
        await until("the end of the front", () => hasEnded(front), GONE_MS);
        await until("its session is free", async () => !(await hasSession(front)), FREE_MS);
      } finally {
        front.process.kill("SIGKILL");
      }
    },
    30_000,
  );

  test.each([
    ["a client that says nothing", () => {}],
    ["a call that is never answered", (front: RawFront) => void front.ask("tools/call", { name: "hang" })],
    [
      "a client that reads nothing of a flood",
      (front: RawFront) => {
        front.process.stdout.pause();
        front.ask("tools/call", { name: "flood", arguments: { count: 1_000_000 } });
      },
    ],
    [
      "a client whose reading end is gone, until there is something to say",
      (front: RawFront) => void front.process.stdout.destroy(),
    ],
    ["half a line", (front: RawFront) => void front.process.stdin.write('{"jsonrpc":"2.0","id":')],
  ])(
    "waits for %s without the processor",
    async (_what, begin) => {
      const front = await opened();
      try {
        begin(front);
        // What is under way comes to rest first.
        await until("rest", async () => (await cpuWithin(front.pid, LOOK_MS)) < BUSY_MS, 15_000);
        expect(await cpuWithin(front.pid, LOOK_MS)).toBeLessThan(BUSY_MS);
      } finally {
        front.process.kill("SIGKILL");
      }
    },
    30_000,
  );
});
