/** Clients that come, call and go at random, with more servers than the budget has room for: no call is ever cut. */
import { expect, test } from "bun:test";
import { Deadline, sleep } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import type { Manager } from "../../src/manager/manager.ts";
import { SEED } from "../support/seed.ts";
import { attach, declared, plain } from "./clients.ts";
import { openStage } from "./stage.ts";

const RUN_MS = 3_500;
const CLIENTS = 6;
const SERVERS = ["a", "b", "c", "d", "own"];
const CONTAINERS = 3;

/** Numbers from 0 to below `bound`, the same for the same seed (mulberry32). */
function randomly(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound || 0;
  };
}

interface Counts {
  calls: number;
  waited: number;
}

/** One client after the other, until the time is over. */
async function visit(manager: Manager, number: number, until: Deadline, counts: Counts): Promise<void> {
  const random = randomly(SEED + number);
  for (let visits = 0; !until.passed; visits += 1) {
    const server = SERVERS[Math.floor(random(SERVERS.length))] ?? "a";
    const client = await attach(manager, server, { ppid: 100 + number }).catch((error: unknown) => Fault.from(error));
    if (client instanceof Fault) {
      // The only reason not to be served.
      expect(client).toMatchObject({ kind: "exhausted" });
      counts.waited += 1;
      continue;
    }
    for (let calls = random(3); calls > 0; calls -= 1) {
      const text = `${number} ${visits} ${calls}`;
      expect(await client.call("later", { count: random(60), text })).toBe(text);
      counts.calls += 1;
      await sleep(random(30));
    }
    client.leave();
    await sleep(random(50));
  }
}

test("no call is cut, nobody is refused without a reason, and the budget holds", async () => {
  process.stderr.write(`races for the budget: LINKSPAN_SEED=${SEED}\n`);
  const bodies = Object.fromEntries(
    SERVERS.map((name) => [name, plain(name === "own" ? { session: "container" } : {})]),
  );
  const servers = declared(bodies);
  await using stage = await openStage("races", { servers, budget: { containers: CONTAINERS, wait: 1_000 } });
  const { manager } = stage;
  const until = Deadline.in(RUN_MS);
  const counts = { calls: 0, waited: 0 };
  let most = 0;
  const watch = async () => {
    while (!until.passed) {
      // What exists, whatever the ledger says.
      const views = manager.servers();
      const running = views.reduce(
        (sum, { addresses, containers = 0 }) => sum + (addresses.length > 0 ? 1 : containers),
        0,
      );
      most = Math.max(most, running);
      await sleep(10);
    }
  };
  await Promise.all([
    watch(),
    ...Array.from({ length: CLIENTS }, (_, number) => visit(manager, number, until, counts)),
  ]);
  expect(counts.calls).toBeGreaterThan(10);
  expect(most).toBeLessThanOrEqual(CONTAINERS);
  // Servers gave way to others.
  expect(manager.events.recent(1_000).filter(({ message }) => message.includes("make room")).length).toBeGreaterThan(0);
  process.stderr.write(`${counts.calls} calls, ${counts.waited} without room\n`);
});
