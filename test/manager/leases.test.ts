/** How long a server runs on without its owners depends on whose it is. */
import { expect, test } from "bun:test";
import { leaseMs } from "../../src/manager/leases.ts";
import type { Manager } from "../../src/manager/manager.ts";
import type { SessionGrant } from "../../src/model/views.ts";
import { dialControl } from "../../src/transport/control.ts";
import { until } from "../support/until.ts";
import { openStage, quiet, soon } from "./stage.ts";

const SESSIONS_MS = 60_000;
const OWN_MS = 300_000;
const someone = { pid: process.pid, ppid: process.ppid };

/** As the bridge itself says it. */
async function leaseOf({ addresses, token }: SessionGrant): Promise<number> {
  await using control = await dialControl({ addresses, token }, {}, soon());
  return control.leaseMs;
}

function grantOf(manager: Manager, server: string, definition?: object): Promise<SessionGrant> {
  const request = { server, ...someone, ...(definition ? { definition } : {}) };
  return manager.acquire(request as Parameters<Manager["acquire"]>[0], "front", quiet, soon());
}

test("what is said counts; else a minute for what sessions have made, five for the manager's own", () => {
  const made = { origin: "ref", pinned: false } as const;
  expect(leaseMs({}, made)).toBe(SESSIONS_MS);
  expect(leaseMs({}, { ...made, pinned: true })).toBe(OWN_MS);
  for (const origin of ["config", "rest", "label"] as const)
    expect(leaseMs({}, { origin, pinned: false })).toBe(OWN_MS);
  expect(leaseMs({ lease: 7_000 }, made)).toBe(7_000);
  expect(leaseMs({ lease: "none" }, made)).toBe(0);
});

test("a server that sessions have made gets the longer lease when somebody starts it by name, without a restart", async () => {
  await using stage = await openStage("leases");
  const { manager } = stage;
  const grant = await grantOf(manager, "exec:/bin/cat");
  expect(await leaseOf(grant)).toBe(SESSIONS_MS);
  const { since } = manager.server(grant.server);
  await manager.start(grant.server, undefined, quiet, soon());
  await until("the longer lease", async () => (await leaseOf(grant)) === OWN_MS);
  expect(manager.server(grant.server)).toMatchObject({ state: "ready", since });
});
