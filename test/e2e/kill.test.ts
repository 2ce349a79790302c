/** Client, front and manager killed at random moments: a short, seeded part of test/soak/kill.ts. */
import { expect, test } from "bun:test";
import { ENGINE, engineTest } from "../support/engine.ts";
import { killStorm } from "../support/kill-storm.ts";
import { SEED } from "../support/seed.ts";

const LEASE_MS = 3_000;
const RUNS = 6;
/** The soak holds it to 5 s; other tests run beside this one. */
const GRACE_MS = 15_000;

async function survive(runtimes: readonly ("docker" | "process")[]): Promise<void> {
  process.stderr.write(`random test "killed clients, fronts and managers": LINKSPAN_SEED=${SEED}\n`);
  const { left, harmed, calls } = await killStorm({
    seed: SEED,
    runs: RUNS,
    atOnce: RUNS,
    leaseMs: LEASE_MS,
    graceMs: GRACE_MS,
    runtimes,
  });
  expect(left).toEqual([]);
  expect(harmed).toEqual([]);
  expect(calls).toBeGreaterThan(0);
}

engineTest(
  "everybody is killed: no container, network, process or folder is left; others go on",
  () => survive(["docker", "process"]),
  120_000,
);

// With an engine they are part of the above.
if (!ENGINE) test("the same without an engine", () => survive(["process"]), 120_000);
