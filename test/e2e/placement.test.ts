/** Who shares a container and who has one of its own, with the real binary: fronts, a TCP client and a REST call. */
import { describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { listContainers } from "../../src/docker/containers.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, tempDir } from "../support/cli.ts";
import { engine, engineTest } from "../support/engine.ts";
import { until } from "../support/until.ts";
import { fixtureBody } from "./images.ts";
import { INITIALIZE, RawFront } from "./raw-front.ts";
import { Stage, type StageRuntime } from "./stage.ts";
import { TcpClient } from "./tcp-client.ts";

const PLAIN = join(import.meta.dir, "../fixtures/plain-server.ts");
const body = async (runtime: StageRuntime): Promise<Record<string, unknown>> =>
  runtime === "docker"
    ? { ...(await fixtureBody("plain-server")), limits: { memory: "128m" } }
    : { image: `exec:${process.execPath}`, args: [PLAIN] };

interface Place extends AsyncDisposable {
  stage: Stage;
}

/** A manager whose configuration file has these servers. */
async function withServers(
  runtime: StageRuntime,
  servers: Record<string, Record<string, unknown>>,
  args: string[] = [],
): Promise<Place> {
  const folder = await tempDir("placement");
  const file = join(folder.path, "linkspan.yaml");
  const plain = await body(runtime);
  const all = Object.fromEntries(Object.entries(servers).map(([name, more]) => [name, { ...plain, ...more }]));
  // JSON is YAML.
  await Bun.write(file, JSON.stringify({ servers: all }));
  const stage = await Stage.open(runtime, { args: ["--config", file, ...args] });
  return {
    stage,
    async [Symbol.asyncDispose]() {
      await stage[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function containers(stage: Stage) {
  const filter = { label: [`${LABEL.instance}=${await stage.instance()}`] };
  return await listContainers(engine(), filter, Deadline.in(10_000));
}

async function marks(stage: Stage, mark: string): Promise<string[]> {
  const text = await readFile(join(stage.dataDir, "logs", "lifecycle.log"), "utf8");
  return text.split("\n").filter((line) => line.includes(`[${mark}]`));
}

const echo = async (front: RawFront, text: string) => (await front.call("echo", { text })).result?.content;

describe.each(["docker", "process"] as const)("%s", (runtime) => {
  const runs = runtime === "docker" ? engineTest : test;

  runs("twenty fronts that start at once share one container; a check for it takes less than 2 s", async () => {
    await using place = await withServers(runtime, { a: {} });
    const { stage } = place;
    const fronts = Array.from({ length: 20 }, () => new RawFront(stage.front("a")));
    try {
      await Promise.all(fronts.map((front) => front.initialize(40_000)));
      const texts = await Promise.all(fronts.map((front, number) => echo(front, `front ${number}`)));
      expect(texts).toEqual(fronts.map((_, number) => [{ type: "text", text: `front ${number}` }]));
      expect(await stage.view("a")).toMatchObject({ state: "ready", sessions: 20 });
      if (runtime === "docker") {
        const found = await containers(stage);
        expect(found).toHaveLength(1);
        const labels = found[0]?.Labels ?? {};
        const ids = (await stage.sessions()).map(({ session }) => session);
        // The session that it was made for.
        expect(ids).toContain(labels[LABEL.session] ?? "");
        expect(labels).toMatchObject({ [LABEL.managedBy]: "linkspan", [LABEL.service]: "a", [LABEL.server]: "a" });
        expect(labels[LABEL.started]).toMatch(/^\d{10}$/);
        expect(labels[LABEL.spec]).toMatch(/^[0-9a-f]{64}$/);
      }
      expect(await marks(stage, "START")).toHaveLength(1);
      expect(await marks(stage, "CONNECT")).toHaveLength(20);
      const startedAt = performance.now();
      const request = { method: "POST", body: JSON.stringify({ server: "a", pid: process.pid, ppid: process.ppid }) };
      const late = (await (await stage.api("/sessions", request)).json()) as { session: string };
      expect(performance.now() - startedAt).toBeLessThan(2_000);
      await stage.api(`/sessions/${late.session}`, { method: "DELETE" });
      const reuses = await marks(stage, "REUSE");
      expect(reuses.length).toBeGreaterThanOrEqual(1);
      if (runtime === "docker") expect(reuses.at(-1)).toContain(`[linkspan-${await stage.instance()}-a]`);
    } finally {
      for (const front of fronts) await front[Symbol.asyncDispose]();
    }
  });

  runs(
    "a container for each session: of fronts, of a TCP client, of a REST call; killed, left and closed they go",
    async () => {
      await using place = await withServers(runtime, { a: { session: "container" } });
      const { stage } = place;
      const count = async () => (await stage.view("a")).containers;
      await using one = new RawFront(stage.front("a"));
      await using two = new RawFront(stage.front("a"));
      await Promise.all([one.initialize(), two.initialize()]);
      const pids = await Promise.all([one, two].map(async (front) => (await front.call("process")).result?.content));
      expect(await count()).toBe(2);
      using tcp = await TcpClient.connect(stage.tcpPort);
      tcp.send({ link: "attach", server: "a", token: await stage.token() });
      tcp.send({ jsonrpc: "2.0", id: 1, method: "initialize", params: INITIALIZE });
      await until("the answer over TCP", () => tcp.lines.some((line) => line.includes('"plain"')), 45_000);
      const call = { method: "POST", body: JSON.stringify({ tool: "echo", arguments: { text: "rest" } }) };
      expect(await (await stage.api("/servers/a/call", call)).text()).toContain("rest");
      expect(await count()).toBe(4);
      expect(await (await stage.api("/status")).json()).toMatchObject({
        containers: { running: 4 },
        budget: { containers: 4 },
      });
      const [sessions, instance] = await Promise.all([stage.sessions(), stage.instance()]);
      if (runtime === "docker") {
        const found = await containers(stage);
        const labelled = found.map(({ Labels }) => Labels?.[LABEL.session] ?? "");
        expect(labelled.toSorted()).toEqual(sessions.map(({ session }) => session).toSorted());
        const names = labelled.map((session) => `/linkspan-${instance}-a-${session}`);
        expect(found.map(({ Names }) => Names?.[0])).toEqual(names);
      } else expect(pids[0]).not.toEqual(pids[1]);
      // Killed: nothing is said any more, and it is found out.
      one.process.kill("SIGKILL");
      await until("its container is gone", async () => (await count()) === 3, 45_000);
      expect(await echo(two, "still")).toEqual([{ type: "text", text: "still" }]);
      tcp[Symbol.dispose]();
      await until("that of the TCP client is gone", async () => (await count()) === 2, 45_000);
      two.endInput();
      expect(await two.ended()).toBe(0);
      await until("that of the front is gone", async () => (await count()) === 1, 45_000);
      if (runtime === "docker") expect(await containers(stage)).toHaveLength(1);
      await stage.api("/servers/a/stop", { method: "POST" });
      expect(await count()).toBe(0);
      if (runtime === "docker") expect(await containers(stage)).toEqual([]);
    },
  );

  runs("a front brings its session to a container of its own again when that one is killed", async () => {
    await using place = await withServers(runtime, { a: { session: "container" } });
    const { stage } = place;
    await using front = new RawFront(stage.front("a"));
    await front.initialize();
    const [before] = await stage.sessions();
    await front.call("crash");
    await until("the next session", async () => (await stage.sessions())[0]?.session !== before?.session, 45_000);
    expect(await echo(front, "again")).toEqual([{ type: "text", text: "again" }]);
    await until("the old one is gone", async () => (await stage.view("a")).containers === 1, 45_000);
    const child = Bun.spawn([BINARY, "ps"], { env: cleanEnv({ LINKSPAN_DATA_DIR: stage.dataDir }), stdout: "pipe" });
    expect(await child.stdout.text()).toMatch(/^a .* 1 .*ready/m);
  });

  // Of processes it is seen in test/manager.
  if (runtime === "process") return;
  runs(
    "client, front and manager killed: the container ends with its lease, and the next manager takes it away",
    async () => {
      await using place = await withServers(runtime, { a: { session: "container", lease: "2s" } });
      const { stage } = place;
      await using front = new RawFront(stage.front("a"));
      await front.initialize();
      await stage.kill();
      front.process.kill("SIGKILL");
      const running = async () => (await containers(stage)).filter(({ State }) => State === "running").length;
      await until("it has ended", async () => (await running()) === 0, 20_000);
      await stage.restart();
      await until(
        "it is gone",
        async () => {
          const { containers: left, state } = await stage.view("a");
          return left === 0 && state !== "ready";
        },
        20_000,
      );
      await until("nothing is left", async () => (await containers(stage)).length === 0, 10_000);
      expect(await stage.sessions()).toEqual([]);
    },
  );

  runs(
    "within the budget: the least recently used goes, never one in the middle of a call, and who waits is told",
    async () => {
      const args = ["--budget-containers", "2", "--budget-wait", "2"];
      await using place = await withServers(runtime, { a: {}, b: {}, c: {}, d: { idleStop: "1s" } }, args);
      const { stage } = place;
      const states = async (...names: string[]) =>
        Promise.all(names.map(async (name) => (await stage.view(name)).state));
      await using busy = new RawFront(stage.front("a"));
      await busy.initialize();
      const slow = busy.call("later", { count: 4_000, text: "whole" });
      const once = async (name: string) => {
        await using front = new RawFront(stage.front(name));
        await front.initialize();
        expect(await echo(front, name)).toEqual([{ type: "text", text: name }]);
        front.endInput();
        await front.ended();
      };
      await once("b");
      // a has been used before b, but it is in use.
      await once("c");
      expect(await states("a", "b", "c")).toEqual(["ready", "stopped", "ready"]);
      await using other = new RawFront(stage.front("c"));
      await other.initialize();
      await using refused = new RawFront(stage.front("b"));
      // What it has to say at first is known already; the call is what needs the server.
      await refused.initialize();
      const answer = await refused.call("echo");
      expect(answer.error?.message).toContain("no room for b within 2 s: 2 of 2 containers are in use (a, c)");
      expect((await slow).result?.content).toEqual([{ type: "text", text: "whole" }]);
      busy.endInput();
      await busy.ended();
      await once("d");
      expect(await states("a", "c", "d")).toEqual(["stopped", "ready", "ready"]);
      await until("it is stopped when idle", async () => (await stage.view("d")).state === "stopped", 45_000);
      await once("d");
    },
  );
});
