/** Load in short: each part of `npm run soak`'s load.ts for some seconds. Bounds are those of the soak; times are not judged here. */
import { expect, test } from "bun:test";
import { SEED } from "../support/seed.ts";
import { crowd, scarce } from "./crowd.ts";
import { cycles } from "./cycles.ts";
import { deaf } from "./deaf.ts";
import { neighbours, PLAIN } from "./neighbours.ts";

test("500 idle connections cost little, and nobody who is served notices", async () => {
  const { memory, descriptors, witness, http } = await crowd({ clients: 500, attached: 20, extra: 0, http: 200 });
  expect(memory.during - memory.before).toBeLessThan(64);
  expect(descriptors.after).toBeLessThan(descriptors.before + 20);
  expect(witness).toMatchObject({ errors: 0, lost: 0 });
  expect(http.answered).toBe(true);
}, 60_000);

test("descriptors run out: who is served is served on, others are refused, and afterwards they are not", async () => {
  const { tcpRefused, httpShut, httpAgain, busy, witness } = await scarce(256);
  expect(tcpRefused).toBeGreaterThan(0);
  expect([httpShut, httpAgain]).toEqual([true, true]);
  expect(busy).toBeLessThan(0.5);
  expect(witness).toMatchObject({ errors: 0, lost: 0 });
  expect(witness.calls).toBeGreaterThan(10);
}, 60_000);

test("a client that floods its server keeps nobody else from being served", async () => {
  const asked = {
    servers: 4,
    callsPerSecond: 200,
    quietMs: 500,
    floodMs: 2_000,
    runtime: "process" as const,
    body: PLAIN,
  };
  const { quiet, flooded, flood, memory } = await neighbours(asked);
  expect(flood).toBeGreaterThan(1_000);
  for (const { errors, lost, calls } of [quiet, flooded]) {
    expect({ errors, lost }).toEqual({ errors: 0, lost: 0 });
    expect(calls).toBeGreaterThan(0);
  }
  expect(Math.max(...memory.manager)).toBeLessThan(128);
}, 60_000);

test("40 clients that never read cost bounded memory", async () => {
  const { manager, bridge, witness } = await deaf({ clients: 40, streams: 10, ms: 3_000 });
  expect(manager).toBeLessThan(160);
  expect(bridge).toBeLessThan(320);
  expect(witness).toMatchObject({ errors: 0, lost: 0 });
}, 60_000);

test("sessions that end in every way leave nothing", async () => {
  process.stderr.write(`session cycles: LINKSPAN_SEED=${SEED}\n`);
  const outcome = await cycles({ seed: SEED, cycles: 40, lanes: 4, servers: 3, runtime: "process", body: PLAIN });
  expect(outcome.failures).toEqual([]);
  expect(outcome).toMatchObject({ zombies: 0, sessions: 0, serverProcesses: 0 });
  expect(outcome.left).toEqual({ processes: 0, containers: 0, networks: 0 });
}, 120_000);
