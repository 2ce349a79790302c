/** Containers that are frozen from outside, and memory that runs out: what the manager and the engine say of them. */
import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { inspectContainer } from "../../src/docker/containers.ts";
import type { DataDir } from "../../src/manager/data-dir.ts";
import type { ServerBodyInput } from "../../src/model/server-spec.ts";
import { BRIDGE, processes } from "../support/container-processes.ts";
import { open } from "../support/docker-subject.ts";
import { engine, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { until } from "../support/until.ts";
import { parseBody } from "./specs.ts";
import { converse, openStage, quiet, soon } from "./stage.ts";

const docker = (dir: DataDir) => open({ instance: dir.instance, dataDir: dir.path });
const SCRIPT = readFileSync(join(import.meta.dir, "../fixtures/ailing-server.sh"), "utf8");

async function body(limits: ServerBodyInput["limits"] = { memory: "48m" }) {
  return parseBody({
    image: await busyboxImage(engine()),
    command: ["/bin/sh", "-c", SCRIPT],
    limits,
    health: { interval: "1s", timeout: "500ms", startPeriod: "0s", retries: 2 },
  });
}

const SERVER = /^\/bin\/sh -c # An MCP/;

async function engineHealth(container: string): Promise<string | undefined> {
  return (await inspectContainer(engine(), container, Deadline.in(10_000)))?.State.Health?.Status;
}

engineTest(
  "a server process and a bridge that are stopped in their container: each is said, by the engine's health check too",
  async () => {
    await using stage = await openStage("ailments", { allowWeaker: false }, docker);
    const { manager } = stage;
    const { id = "" } = await manager.start("frozen", await body(), quiet, soon());
    const view = () => manager.server("frozen");
    using session = await converse(manager, "frozen");
    await until("the engine calls it healthy", async () => (await engineHealth(id)) === "healthy", 20_000);
    const [server = 0] = processes(id, SERVER);
    const [bridge = 0] = processes(id, BRIDGE);
    process.kill(server, "SIGSTOP");
    await until("it is seen", () => view().state === "unhealthy");
    expect(view().reason).toMatch(/^server process \d+ is stopped \(SIGSTOP or a debugger\)$/);
    const { health } = await manager.inspect("frozen", soon());
    expect(health).toMatchObject({ status: "unhealthy", trouble: { kind: "stopped", sessions: 1 } });
    await until("the engine calls it unhealthy", async () => (await engineHealth(id)) === "unhealthy", 20_000);
    process.kill(server, "SIGCONT");
    await until("it is well", () => view().state === "ready");
    process.kill(bridge, "SIGSTOP");
    await until("it is seen", () => view().state === "unhealthy");
    expect(view().reason).toContain("the bridge does not answer");
    process.kill(bridge, "SIGCONT");
    await until("it is well", () => view().state === "ready");
    const events = manager.events.recent(100).map(({ kind, message }) => `${kind}: ${message}`);
    expect(events).toContainEqual(expect.stringMatching(/^server\.unhealthy: frozen is unhealthy: server process/));
    expect(events).toContainEqual(
      expect.stringMatching(/^server\.unhealthy: frozen is unhealthy: the bridge does not/),
    );
    // Nothing of it was a reason to restart anything.
    expect(view().id).toBe(id);
    expect(processes(id, SERVER)).toEqual([server]);
    session.ask(1, "tools/call", { name: "pid" });
    await until("the answer", () => session.heard.length > 1);
  },
  90_000,
);

engineTest(
  "memory runs out: for the server alone, which is told with the limit, or for the whole container",
  async () => {
    await using stage = await openStage("memory", { allowWeaker: false }, docker);
    const { manager } = stage;
    const { id = "" } = await manager.start("eater", await body(), quiet, soon());
    const view = () => manager.server("eater");
    using first = await converse(manager, "eater");
    first.ask(1, "tools/call", { name: "eat" });
    // The shell's child is killed, and the shell goes on: all that it shares the limit with is left alone.
    await until("the kernel has killed it", () => manager.events.recent(9).length > 0 && oomKills(id) > 0, 20_000);
    expect(view().state).toBe("ready");
    using second = await converse(manager, "eater");
    const [bridge = 0] = processes(id, BRIDGE);
    // What the bridge does for itself, turned around: now it is the first to go.
    for (const pid of processes(id, SERVER)) {
      expect(readFileSync(`/proc/${pid}/oom_score_adj`, "latin1").trim()).toBe("500");
      writeFileSync(`/proc/${pid}/oom_score_adj`, "0");
    }
    writeFileSync(`/proc/${bridge}/oom_score_adj`, "1000");
    second.ask(1, "tools/call", { name: "eat" });
    await until("the end of the container", () => view().state === "failed", 20_000);
    expect(view().reason).toBe(`killed for memory: the container's limit is ${48 * 1024 * 1024} bytes`);
    expect(await manager.start("eater", undefined, quiet, soon())).toMatchObject({ state: "ready" });
  },
  90_000,
);

engineTest(
  "a server that takes all processes: the bridge answers, its neighbour too, and with its session they are gone",
  async () => {
    await using stage = await openStage("bomb", { allowWeaker: false }, docker);
    const { manager } = stage;
    const limits = { memory: "64m", pids: 48, cpus: 0.5 };
    const { id = "" } = await manager.start("bomb", await body(limits), quiet, soon());
    using neighbour = await converse(manager, "bomb");
    const bomber = await converse(manager, "bomb");
    bomber.ask(1, "tools/call", { name: "bomb" });
    await until("the limit", () => pidsRefused(id) > 0, 20_000);
    expect(processes(id, /^sleep 600/).length).toBeGreaterThan(0);
    for (let round = 0; round < 5; round++) {
      neighbour.ask(round + 1, "tools/call", { name: "pid" });
      await until("the neighbour's answer", () => neighbour.heard.length > round + 1);
      expect((await manager.inspect("bomb", soon())).health).toMatchObject({ sessions: 2 });
    }
    bomber[Symbol.dispose]();
    manager.release(bomber.session);
    await until("they are gone", () => processes(id, /^sleep 600/).length === 0);
    await until("only its neighbour is left", () => processes(id, SERVER).length === 1);
    using next = await converse(manager, "bomb");
    next.ask(1, "tools/call", { name: "orphan" });
    await until("the answer", () => next.heard.length > 1, 20_000);
    await until("no zombie is left", () => processes(id, /^sleep|^$/).length === 0);
    expect(manager.server("bomb")).toMatchObject({ state: "ready", id });
  },
  90_000,
);

/** The file of the container's control group, of version 1 or 2. */
function groupFile(container: string, controller: "memory" | "pids", names: { v1: string; v2: string }): string {
  const [pid = 0] = processes(container, BRIDGE);
  const groups = readFileSync(`/proc/${pid}/cgroup`, "latin1");
  const v1 = new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, "m").exec(groups)?.[1];
  const path = v1 === undefined ? `${/^0::(.*)$/m.exec(groups)?.[1]}/${names.v2}` : `/${controller}${v1}/${names.v1}`;
  return readFileSync(`/sys/fs/cgroup${path}`, "latin1");
}

function oomKills(container: string): number {
  const events = groupFile(container, "memory", { v1: "memory.oom_control", v2: "memory.events" });
  return Number(/^oom_kill (\d+)$/m.exec(events)?.[1]);
}

/** Processes that could not be started for the limit. */
function pidsRefused(container: string): number {
  return Number(/^max (\d+)$/m.exec(groupFile(container, "pids", { v1: "pids.events", v2: "pids.events" }))?.[1]);
}
