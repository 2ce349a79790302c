/** The manager over a real container engine: what people do to its containers, and an engine that is not there. */
import { describe, expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { listContainers } from "../../src/docker/containers.ts";
import { listNetworks } from "../../src/docker/networks.ts";
import type { DataDir } from "../../src/manager/data-dir.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import { tempDir } from "../support/cli.ts";
import { dockerCommand } from "../support/docker-command.ts";
import { open } from "../support/docker-subject.ts";
import { engine, engineTest } from "../support/engine.ts";
import { scratchImage } from "../support/images.ts";
import { until } from "../support/until.ts";
import { parseBody } from "./specs.ts";
import { ask, openStage, quiet, soon } from "./stage.ts";

const docker = (dir: DataDir) => open({ instance: dir.instance, dataDir: dir.path });
/** faults.md: seen within 2 s. */
const SEEN_MS = 2_000;

async function leftovers(instance: string): Promise<string[]> {
  const mine = { label: [`${LABEL.instance}=${instance}`] };
  const containers = await listContainers(engine(), mine, Deadline.in(10_000));
  const networks = await listNetworks(engine(), mine, Deadline.in(10_000));
  return [...containers.map(({ Id }) => Id), ...networks.map(({ Name }) => Name)];
}

describe("containers", () => {
  engineTest(
    "killed, started, stopped, paused, resumed, removed by somebody else: each is seen within 2 s",
    async () => {
      await using stage = await openStage("outside", { allowWeaker: false }, docker);
      const { manager } = stage;
      const body = parseBody({ image: await scratchImage(engine()), limits: { memory: "32m" } });
      const view = await manager.start("outside", body, quiet, soon());
      const name = view.container ?? "";
      const state = (wanted: string, ms = SEEN_MS) =>
        until(`it is ${wanted}`, () => manager.server("outside").state === wanted, ms);
      await dockerCommand("kill", name);
      await state("failed");
      expect(manager.server("outside")).toMatchObject({ reason: "ended by signal 9", addresses: [] });
      await dockerCommand("start", name);
      await state("ready", 10_000);
      expect(await ask(manager, "outside", "any")).toContain('"result"');
      await dockerCommand("pause", name);
      await state("unhealthy");
      const paused = await manager.start("outside", undefined, quiet, soon()).catch((fault: unknown) => fault);
      expect(paused).toMatchObject({ kind: "conflict", message: "outside is paused" });
      await dockerCommand("unpause", name);
      await state("ready");
      await dockerCommand("restart", "-t", "1", name);
      await state("ready", 10_000);
      await dockerCommand("stop", name);
      await state("stopped");
      expect(await manager.start("outside", undefined, quiet, soon())).toMatchObject({
        state: "ready",
        container: name,
      });
      await dockerCommand("rm", "-f", name);
      await state("failed");
      expect(manager.server("outside").reason).toBe("it was removed by somebody else");
      expect(await manager.start("outside", undefined, quiet, soon())).toMatchObject({ state: "ready" });
      const { instance } = manager.dataDir;
      expect(await leftovers(instance)).toHaveLength(2);
      const last = await stage.reopen({ stopServersOnExit: true });
      await last.close(soon());
      expect(await leftovers(instance)).toEqual([]);
    },
  );

  engineTest("what does not come up says why and leaves no container", async () => {
    await using stage = await openStage("broken", { allowWeaker: false }, docker);
    const { manager } = stage;
    const missing = parseBody({ image: "linkspan.invalid/nothing:1" });
    const fault = await manager.start("missing", missing, quiet, soon()).catch((thrown: unknown) => Fault.from(thrown));
    expect(fault).toBeInstanceOf(Fault);
    expect(manager.server("missing").state).toBe("failed");
    const mine = { label: [`${LABEL.instance}=${manager.dataDir.instance}`] };
    expect(await listContainers(engine(), mine, Deadline.in(10_000))).toEqual([]);
    const weaker = parseBody({ image: await scratchImage(engine()), capAdd: ["NOT_A_CAPABILITY"] });
    const refused = await manager.start("weaker", weaker, quiet, soon()).catch((thrown: unknown) => Fault.from(thrown));
    expect(refused).toBeInstanceOf(Fault);
    expect(await listContainers(engine(), mine, Deadline.in(10_000))).toEqual([]);
  });

  engineTest("ten starts and two stops at once end in one container or none", async () => {
    await using stage = await openStage("crowd", { allowWeaker: false }, docker);
    const { manager } = stage;
    const body = parseBody({ image: await scratchImage(engine()) });
    const starts = Array.from({ length: 10 }, () => manager.start("crowd", body, quiet, soon()).catch(() => undefined));
    await until("one is under way", () => manager.servers()[0]?.state === "starting");
    await Promise.all([...starts, manager.stop("crowd", soon()), manager.stop("crowd", soon())]);
    expect(manager.server("crowd").state).toBe("stopped");
    await manager.start("crowd", body, quiet, soon());
    const mine = { label: [`${LABEL.instance}=${manager.dataDir.instance}`] };
    expect(await listContainers(engine(), mine, Deadline.in(10_000))).toHaveLength(1);
    await manager.remove("crowd", soon());
    expect(await listContainers(engine(), mine, Deadline.in(10_000))).toHaveLength(0);
  });
});

describe("an engine that is not there", () => {
  test("the manager is up, says why it is not ready, and refuses starts with what to do", async () => {
    await using folder = await tempDir("no-engine");
    const env = { DOCKER_HOST: `unix://${join(folder.path, "docker.sock")}` };
    const nowhere = (dir: DataDir) => open({ instance: dir.instance, dataDir: dir.path, env });
    await using stage = await openStage("no-engine", { noEngineHint: "or do without" }, nowhere);
    const { manager } = stage;
    const begun = performance.now();
    const fault = await manager
      .start("any", parseBody({ image: "x:1" }), quiet, soon())
      .catch((thrown: unknown) => Fault.from(thrown));
    expect(fault).toMatchObject({ kind: "unreachable", hint: expect.stringContaining("or do without") });
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect(manager.readiness()).toMatchObject({ ready: false, reason: expect.stringContaining("docker.sock") });
    expect(manager.servers()).toEqual([]);
  });

  engineTest("and then is: servers can be started without a restart of the manager", async () => {
    await using folder = await tempDir("late-engine");
    const socket = join(folder.path, "docker.sock");
    const late = (dir: DataDir) =>
      open({ instance: dir.instance, dataDir: dir.path, env: { DOCKER_HOST: `unix://${socket}` } });
    await using stage = await openStage("late-engine", { allowWeaker: false }, late);
    const { manager } = stage;
    await until("the first look is over", () => manager.readiness().reason?.includes("docker.sock"));
    const { endpoint } = engine();
    if (endpoint.kind !== "socket") return;
    symlinkSync(endpoint.path, socket);
    await until("it is ready", () => manager.readiness().ready, 10_000);
    const body = parseBody({ image: await scratchImage(engine()) });
    expect(await manager.start("late", body, quiet, soon())).toMatchObject({ state: "ready" });
  });
});
