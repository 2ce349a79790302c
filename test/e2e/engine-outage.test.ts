/** The engine goes away, hangs, or is changed by people while nobody can tell the manager; clients have calls under way. */
import { expect } from "bun:test";
import { engine, engineTest } from "../support/engine.ts";
import { dockerCommand } from "../support/docker-command.ts";
import { EngineProxy } from "../support/engine-proxy.ts";
import { until } from "../support/until.ts";
import { fixtureBody } from "./images.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

/** faults.md: seen within 2 s. */
const SEEN_MS = 2_000;
/** Of anything that has to wait for a frozen engine, beside the time that the engine is given. */
const GIVEN_UP_MS = 45_000;

async function openBehind(proxy: EngineProxy): Promise<Stage> {
  return await Stage.open("docker", { env: { DOCKER_HOST: proxy.host } });
}

async function frontOf(stage: Stage, name: string): Promise<RawFront> {
  const front = new RawFront(stage.front(name));
  await front.initialize();
  return front;
}

const isReady = (stage: Stage) => stage.api("/readyz").then(({ ok }) => ok);

engineTest(
  "people change containers while the event stream is cut: stopped, removed, paused, restarted, killed: seen within 2 s of the reconnection, calls under way get errors",
  async () => {
    await using proxy = await EngineProxy.start(engine());
    await using stage = await openBehind(proxy);
    const body = await fixtureBody("plain-server");
    const names = ["stopped", "removed", "paused", "restarted", "killed"];
    await Promise.all(names.map((name) => stage.start(name, body)));
    const containers = new Map(await Promise.all(names.map(async (name) => [name, await stage.view(name)] as const)));
    const container = (name: string) => containers.get(name)?.container ?? "";
    const fronts = new Map(await Promise.all(names.map(async (name) => [name, await frontOf(stage, name)] as const)));
    try {
      const calls = names.map((name) => ({ name, call: fronts.get(name)?.ask("tools/call", { name: "hang" }) ?? 0 }));
      await proxy.end();
      await until("the outage is told", async () => !(await isReady(stage)));
      await Promise.all([
        dockerCommand("stop", "-t", "1", container("stopped")),
        dockerCommand("rm", "-f", container("removed")),
        dockerCommand("pause", container("paused")),
        dockerCommand("restart", "-t", "1", container("restarted")),
        dockerCommand("kill", container("killed")),
      ]);
      await proxy.allow();
      await until("the engine is followed again", () => isReady(stage), 5_000);
      const wanted = { stopped: "stopped", removed: "failed", paused: "unhealthy", killed: "failed" };
      const seen = async ([name, state]: [string, string]) =>
        until(
          `${name} is ${state}`,
          async () => (await stage.view(name)).state === state || (await replaced(stage, name, containers)),
          SEEN_MS,
        );
      await Promise.all(Object.entries(wanted).map(seen));
      expect((await stage.view("paused")).reason).toBe("it is paused");
      for (const { name, call } of calls) {
        if (name === "paused") continue;
        // One that is stopped can say so itself; of the others nobody knows what became of their calls.
        expect([-32052, -32053]).toContain((await fronts.get(name)?.answered(call, 10_000))?.error?.code ?? 0);
      }
      // What was frozen and nothing else goes on where it was.
      const paused = fronts.get("paused");
      const later = paused?.ask("tools/call", { name: "echo", arguments: { text: "thawed" } }) ?? 0;
      await dockerCommand("unpause", container("paused"));
      expect(JSON.stringify((await paused?.answered(later))?.result)).toContain("thawed");
      // Whoever asks again gets a server.
      for (const name of names.filter((one) => one !== "paused")) {
        expect(JSON.stringify(await fronts.get(name)?.call("echo", { text: name }))).toContain(`"text":"${name}"`);
      }
      expect((await stage.view("restarted")).state).toBe("ready");
    } finally {
      for (const front of fronts.values()) await front[Symbol.asyncDispose]();
    }
  },
  120_000,
);

/** A front whose session has ended has it started anew: that is seen, too. */
async function replaced(stage: Stage, name: string, before: Map<string, { id?: string; since?: number }>) {
  const { id, since } = await stage.view(name);
  return id !== before.get(name)?.id || since !== before.get(name)?.since;
}

/** A stream that goes silent without a word: what happened is found all the same. */
async function silentStream(): Promise<void> {
  await using proxy = await EngineProxy.start(engine());
  await using stage = await openBehind(proxy);
  await stage.start("plain", await fixtureBody("plain-server"));
  const { container = "" } = await stage.view("plain");
  await until("the engine is followed", () => isReady(stage));
  proxy.freeze("old");
  await dockerCommand("stop", "-t", "1", container);
  await until("it is seen", async () => (await stage.view("plain")).state === "stopped", GIVEN_UP_MS);
  proxy.thaw();
}

/** Calls and new sessions of what runs go on; a start ends with an error in time; then everything works again. */
async function frozenEngine(): Promise<void> {
  await using proxy = await EngineProxy.start(engine());
  await using stage = await openBehind(proxy);
  const body = await fixtureBody("plain-server");
  await stage.start("plain", body);
  await using front = await frontOf(stage, "plain");
  proxy.freeze();
  const startedAt = performance.now();
  const starting = stage.api("/servers/other/start", { method: "POST", body: JSON.stringify(body) });
  expect(JSON.stringify((await front.call("echo", { text: "under way" })).result)).toContain("under way");
  await using second = await frontOf(stage, "plain");
  expect(JSON.stringify((await second.call("echo", { text: "a new one" })).result)).toContain("a new one");
  const refused = await starting;
  const problem = await refused.text();
  expect([refused.ok, problem]).toEqual([false, expect.stringContaining("the container engine has not answered")]);
  expect(problem).toContain("docker info");
  expect(performance.now() - startedAt).toBeLessThan(GIVEN_UP_MS);
  proxy.thaw();
  await stage.start("other", body);
  expect((await stage.view("plain")).state).toBe("ready");
}

engineTest(
  "a frozen engine: what runs is served, a start ends in time; a silent event stream: what happened is found",
  // Both wait most of the time.
  async () => void (await Promise.all([silentStream(), frozenEngine()])),
  120_000,
);
