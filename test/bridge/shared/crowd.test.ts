/** Many clients on one shared server process, over real sockets; the long run is test/soak/shared.ts. */
import { expect, test } from "bun:test";
import { crowd } from "../../support/crowd.ts";
import { SEED } from "../../support/seed.ts";

test("20 clients with the same ids and tokens get what is theirs, and nothing else", async () => {
  process.stderr.write(`crowd: LINKSPAN_SEED=${SEED}\n`);
  const outcome = await crowd({ seed: SEED, clients: 20, calls: 200, window: 8, deadlineMs: 30_000 });
  expect(outcome.crossed).toEqual([]);
  expect(outcome.missing).toBe(0);
  expect(outcome.server).toMatchObject({ initializes: 1, initialized: 1 });
  expect(outcome.answers).toBeGreaterThanOrEqual(20 * 200 - outcome.cancelled);
  // Each client was asked once while it was alone; in the crowd nobody can tell whom a question is for.
  expect(outcome.questions).toBeGreaterThanOrEqual(20);
  expect(outcome.refused).toBeGreaterThan(0);
  expect(outcome.progress).toBeGreaterThan(0);
}, 60_000);
