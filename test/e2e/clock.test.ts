/** Time goes wrong: a clock that is set, a machine that is suspended, processes that are frozen. Nobody loses anything by it. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { inspectContainer, unpauseContainer } from "../../src/docker/containers.ts";
import { Deadline } from "../../src/base/deadline.ts";
import { fixture, TestBridge } from "../support/bridge.ts";
import { testClock } from "../support/clock.ts";
import { engine, engineTest } from "../support/engine.ts";
import { scratchImage } from "../support/images.ts";
import { Lone } from "../support/lone-manager.ts";
import { until } from "../support/until.ts";
import { RawFront } from "./raw-front.ts";

const DAY_S = 86_400;
const LEASE_MS = 2_000;
const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
const plain = { image: `exec:${process.execPath}`, args: [PLAIN], lease: LEASE_MS };
/** Three leases; LINKSPAN_SUSPEND_MS=60000 is what faults.md asks for, and takes as long. */
const SUSPEND_MS = Number(process.env.LINKSPAN_SUSPEND_MS ?? 3 * LEASE_MS);

async function pidOf(front: RawFront): Promise<string> {
  return JSON.stringify((await front.call("process")).result);
}

/** What the manager says has happened, but for what the test has asked for itself. */
async function trouble(manager: Lone): Promise<string[]> {
  const events = (await (await manager.api("/events?limit=1000")).json()) as { kind: string; message: string }[];
  const expected = /^(manager\.started|session\.(opened|closed)|server\.(creating|starting|ready))$/;
  return events.filter(({ kind }) => !expected.test(kind)).map(({ message }) => message);
}

test.concurrent(
  "the clock is set a day forward, two back and one forward, for front and manager: nothing happens",
  async () => {
    await using clock = await testClock();
    await using manager = await Lone.open("process", {
      env: clock.env,
      args: ["--cleanup-interval", "1", "--max-age", "3600"],
    });
    await manager.run("plain", plain);
    const launch = manager.front("plain");
    await using front = new RawFront({ ...launch, env: { ...launch.env, ...clock.env } });
    await front.initialize();
    const before = await pidOf(front);
    for (const days of [1, -1, 0]) {
      const call = front.ask("tools/call", { name: "later", arguments: { count: 1_500, text: `day ${days}` } });
      clock.set(days * DAY_S);
      expect(JSON.stringify((await front.answered(call)).result)).toContain(`day ${days}`);
      // Long enough for leases and for passes of the reaper.
      await Bun.sleep(1.5 * LEASE_MS);
      expect(await pidOf(front)).toBe(before);
      const since = await manager.clock();
      expect(Math.abs(since - Date.now() - days * DAY_S * 1000)).toBeLessThan(60_000);
    }
    expect(await trouble(manager)).toEqual([]);
  },
  60_000,
);

test.concurrent(
  "the clock is set under a bridge: a lease lasts as long as it does",
  async () => {
    await using clock = await testClock();
    await using bridge = await TestBridge.start(fixture("obedient-server.ts"), {
      args: ["--lease-ms", String(LEASE_MS)],
      env: clock.env,
    });
    const owner = await bridge.control();
    for (const days of [1, -1, 0]) {
      clock.set(days * DAY_S);
      for (let third = 0; third < 4; third += 1) {
        owner.send({ link: "lease" });
        await Bun.sleep(LEASE_MS / 3);
      }
      expect(bridge.process.exitCode).toBeNull();
    }
    owner.destroy();
    clock.set(-DAY_S);
    expect(await bridge.exited(LEASE_MS + 5_000)).toBe(0);
    expect(bridge.stderr).toContain("the lease has lapsed");
  },
  60_000,
);

test(
  "everything is frozen for longer than the lease, then goes on: the call that was under way, too",
  async () => {
    await using manager = await Lone.open("process");
    await manager.run("plain", plain);
    await using front = new RawFront(manager.front("plain"));
    await front.initialize();
    const before = await pidOf(front);
    const call = front.ask("tools/call", { name: "later", arguments: { count: 1_000, text: "awake" } });
    const all = [...new Set([front.pid, manager.pid, ...manager.processes()])];
    expect(all.length).toBeGreaterThan(4);
    for (const pid of all) process.kill(pid, "SIGSTOP");
    await Bun.sleep(SUSPEND_MS);
    for (const pid of all) process.kill(pid, "SIGCONT");
    expect(JSON.stringify((await front.answered(call)).result)).toContain("awake");
    await Bun.sleep(2 * LEASE_MS);
    expect(await pidOf(front)).toBe(before);
    expect((await trouble(manager)).filter((message) => !/unhealthy|ready/.test(message))).toEqual([]);
  },
  SUSPEND_MS + 60_000,
);

test.concurrent(
  "only the bridge is frozen for longer than its lease: it hears its owners before it judges them",
  async () => {
    await using bridge = await TestBridge.start(fixture("obedient-server.ts"), {
      args: ["--lease-ms", String(LEASE_MS)],
    });
    const owner = await bridge.control();
    bridge.process.kill("SIGSTOP");
    for (let third = 0; third < 9; third += 1) {
      owner.send({ link: "lease" });
      await Bun.sleep(LEASE_MS / 3);
    }
    bridge.process.kill("SIGCONT");
    owner.send({ link: "health" });
    await owner.frame("health");
    await Bun.sleep(LEASE_MS / 2);
    expect(bridge.process.exitCode).toBeNull();
    // Nobody renews any more: the freeze gives it no second lease.
    owner.destroy();
    expect(await bridge.exited(LEASE_MS + 5_000)).toBe(0);
  },
  60_000,
);

test.concurrent(
  "a bridge that was frozen and has no owners ends a third of its lease after it goes on",
  async () => {
    await using bridge = await TestBridge.start(fixture("obedient-server.ts"), {
      args: ["--lease-ms", String(LEASE_MS)],
    });
    bridge.process.kill("SIGSTOP");
    await Bun.sleep(2 * LEASE_MS);
    bridge.process.kill("SIGCONT");
    expect(await bridge.exited(5_000)).toBe(0);
  },
  60_000,
);

engineTest(
  "a container is paused for longer than its lease: resumed, it goes on under its manager, and ends without one",
  async () => {
    await using manager = await Lone.open("docker");
    const limits = { memory: "32m" };
    await manager.run("paused", { image: await scratchImage(engine()), limits, lease: LEASE_MS });
    const [{ id = "" } = {}] = await manager.servers();
    const pause = async () => {
      const request = { what: "pausing", method: "POST", path: `/containers/${id}/pause` } as const;
      await engine().act(request, soon());
      await Bun.sleep(2 * LEASE_MS);
    };
    await pause();
    await unpauseContainer(engine(), id, soon());
    await until("it is ready again", async () => (await manager.servers())[0]?.state === "ready", 20_000);
    await Bun.sleep(1.5 * LEASE_MS);
    expect((await manager.servers())[0]).toMatchObject({ id, state: "ready" });

    await manager.kill();
    await pause();
    expect((await inspectContainer(engine(), id, soon()))?.State.Status).toBe("paused");
    expect(manager.caretakers()).toHaveLength(1);
    await unpauseContainer(engine(), id, soon());
    const gone = async () => (await inspectContainer(engine(), id, soon())) === undefined;
    await until(
      "the end of it and of the caretaker",
      async () => (await gone()) && manager.caretakers().length === 0,
      20_000,
    );
  },
  120_000,
);

function soon(): Deadline {
  return Deadline.in(20_000);
}
