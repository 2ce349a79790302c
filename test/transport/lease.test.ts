/** A bridge outlives nobody who owns it: sessions and managers renew its lease by being there. */
import { expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { dialControl } from "../../src/transport/control.ts";
import { dialSession } from "../../src/transport/session.ts";
import { fixture, TestBridge, TOKEN } from "../support/bridge.ts";
import { ChaosProxy } from "../support/chaos-proxy.ts";
import { until } from "../support/until.ts";

const soon = () => Deadline.in(10_000);
const LEASE_MS = 1_000;
/** From the lapse to the end of a server that ignores everything but SIGKILL (faults.md: stop 2 + 2 s). */
const STOP_MS = 5_000;
const leased = { args: ["--lease-ms", String(LEASE_MS)] };

function reach(port: number) {
  return { addresses: [{ kind: "tcp", host: "127.0.0.1", port }] as const, token: TOKEN };
}

test("a bridge whose owner never comes ends by itself, with 0", async () => {
  await using bridge = await TestBridge.start(fixture("obedient-server.ts"), leased);
  expect(await bridge.exited(LEASE_MS + STOP_MS)).toBe(0);
  expect(bridge.stderr).toContain("the lease has lapsed");
});

test("an idle session keeps it; once that is cut off for good, a server that ignores everything is gone, too", async () => {
  await using bridge = await TestBridge.start(fixture("stubborn-server.sh"), leased);
  await using proxy = await ChaosProxy.start(bridge.port);
  const session = await dialSession({ ...reach(proxy.port), session: "idle" }, soon());
  session.open({ line: () => {}, ended: () => {} });
  await until("the server", () => bridge.stderr.includes("stubborn"));
  const server = Number(/server process (\d+) started/.exec(bridge.stderr)?.[1]);
  await Bun.sleep(3 * LEASE_MS);
  expect(bridge.process.exitCode).toBeNull();
  // The connection stays open and says nothing, as after the power of the other machine has failed.
  proxy.cutAll("silence");
  expect(await bridge.exited(LEASE_MS + STOP_MS)).toBe(0);
  expect(() => process.kill(server, 0)).toThrow();
  session.destroy();
}, 30_000);

test("a manager keeps it by renewing, and can lift the lease", async () => {
  await using bridge = await TestBridge.start(fixture("obedient-server.ts"), leased);
  const control = await dialControl(reach(bridge.port), {}, soon());
  for (let i = 0; i < 6; i++) {
    control.lease();
    await Bun.sleep(LEASE_MS / 2);
  }
  control.lease(0);
  await Bun.sleep(2 * LEASE_MS);
  expect(await control.health(soon())).toMatchObject({ status: "ok" });
  control.lease(LEASE_MS);
  expect(await bridge.exited(LEASE_MS + STOP_MS)).toBe(0);
}, 30_000);
