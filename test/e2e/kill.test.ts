/** Client, front and manager killed at random moments: a short, seeded part of test/soak/kill.ts. */
import { expect, test } from "bun:test";
import { engineTest } from "../support/engine.ts";
import { killStorm } from "../support/kill-storm.ts";
import { SEED } from "../support/seed.ts";

const LEASE_MS = 3_000;

async function survive(runtime: "docker" | "process", runs: number): Promise<void> {
  process.stderr.write(`random test "killed clients, fronts and managers, ${runtime}": LINKSPAN_SEED=${SEED}\n`);
  const { left, harmed, calls } = await killStorm({
    seed: SEED,
    runs,
    atOnce: runs,
    leaseMs: LEASE_MS,
    runtimes: [runtime],
  });
  expect(left).toEqual([]);
  expect(harmed).toEqual([]);
  expect(calls).toBeGreaterThan(0);
}

engineTest(
  "everybody is killed: no container, network, process or folder is left after the lease and 5 s; others go on",
  () => survive("docker", 4),
  120_000,
);

test("the same without an engine", () => survive("process", 4), 120_000);
