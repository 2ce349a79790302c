/** One side writes more than the other takes: nothing is lost, nothing grows without bound. On the process runtime. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { until } from "../support/until.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
const MESSAGES = 100_000;
/** 100,000 messages of 1 KiB are on their way; a front holds what fits into its buffers, not all of them. */
const FRONT_BYTES_MAX = 80 * 1024 ** 2;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open("process");
  await stage.start("plain", { image: `exec:${process.execPath}`, args: [PLAIN] });
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose](), 60_000);

test("a client that does not read holds the server back, then gets every message in order", async () => {
  await using front = new RawFront(stage.front("plain"));
  await front.initialize();
  const before = await privateBytes(front.pid);
  front.process.stdout.pause();
  const id = front.ask("tools/call", { name: "flood", arguments: { count: MESSAGES } });
  const grown = await settled(() => privateBytes(front.pid));
  expect(grown - before).toBeLessThan(FRONT_BYTES_MAX);
  expect(front.bytes).toBeLessThan(1024 ** 2);
  front.process.stdout.resume();
  await front.answered(id, 60_000);
  const numbers = front.messages.filter(({ method }) => method !== undefined).map(({ params }) => params?.data);
  expect(numbers).toEqual(Array.from({ length: MESSAGES }, (_, number) => number));
}, 90_000);

test("a server that does not read holds the client back, then gets every message in order", async () => {
  await using front = new RawFront(stage.front("plain"));
  await front.initialize();
  const before = await privateBytes(front.pid);
  const sleeping = front.ask("tools/call", { name: "sleepy", arguments: { count: 3_000 } });
  const padding = "c".repeat(1000);
  for (let data = 0; data < MESSAGES; data += 1) front.notify("notifications/count", { data, padding });
  const grown = await settled(() => privateBytes(front.pid));
  expect(grown - before).toBeLessThan(FRONT_BYTES_MAX);
  await front.answered(sleeping, 60_000);
  const { result } = await front.call("sleepy");
  expect(JSON.stringify(result)).toContain(JSON.stringify(JSON.stringify({ received: MESSAGES, ordered: true })));
}, 90_000);

test("messages of many megabytes pass in both directions, byte by byte the same", async () => {
  await using front = new RawFront(stage.front("plain"));
  await front.initialize();
  const part = Array.from({ length: 4096 }, (_, code) => String.fromCodePoint(0x20 + code)).join("");
  const text = `${part.repeat(700)}end`;
  const answers = await Promise.all([front.call("echo", { text }), front.call("echo", { text: "small" })]);
  expect(answers[0].result).toEqual({ content: [{ type: "text", text }] });
  expect(answers[1].result).toEqual({ content: [{ type: "text", text: "small" }] });
}, 60_000);

test("input that comes byte by byte is the same input", async () => {
  await using front = new RawFront(stage.front("plain"));
  await front.initialize();
  const line = Buffer.from(
    `${JSON.stringify({ jsonrpc: "2.0", id: "slow", method: "tools/call", params: { name: "echo", arguments: { text: "ü😀" } } })}\n`,
  );
  for (const byte of line) await front.write(Uint8Array.of(byte));
  expect(JSON.stringify((await front.answered("slow")).result)).toContain("ü😀");
});

/** Memory of its own: anonymous pages, without the executable's. */
async function privateBytes(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024;
}

/** The value once it has stopped growing. */
async function settled(measure: () => Promise<number>): Promise<number> {
  let last = Number.NEGATIVE_INFINITY;
  let quiet = 0;
  return until(
    "a value that stays",
    async () => {
      const now = await measure();
      quiet = now > last + 1024 ** 2 ? 0 : quiet + 1;
      last = Math.max(last, now);
      return quiet >= 50 ? last : undefined;
    },
    30_000,
  );
}
