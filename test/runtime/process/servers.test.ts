/** What the contract cannot say for every runtime: plain programs, crashes, orphans, a registry that is gone. */
import { afterAll, afterEach, beforeAll, expect } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { endWithin, family } from "../../../src/runtime/process/identity.ts";
import { ProcessRuntime } from "../../../src/runtime/process/process.ts";
import type { LogLine, Progress } from "../../../src/runtime/runtime.ts";
import { ContractBench } from "../../support/contract-bench.ts";
import { callOnce, openSession } from "../../support/contract-client.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";

const identity = v.object({ pid: v.number(), start: v.string() });
const described = v.object({ folder: v.string(), run: v.object({ bridge: identity, shim: identity }) });
const unused = () => Promise.reject(new Error("not used here"));
const bench = new ContractBench({
  kind: "process",
  killOutside: unused,
  removeOutside: unused,
  leftovers: unused,
});
const it = bench.test;

beforeAll(() => bench.setUp());
afterEach(() => bench.removeAll());
afterAll(() => bench.tearDown());

const describedOf = async (id: string) => v.parse(described, (await bench.seen(id)).raw);
const logOf = async (id: string) => {
  const lines: LogLine[] = [];
  for await (const line of bench.runtime.logs(id, { signal: bench.deadline().signal })) lines.push(line);
  return lines.map(({ text }) => text).join("\n");
};

it("runs a program of this machine, in the folder and with the arguments that it is given", async () => {
  const script = join(import.meta.dir, "../../fixtures/contract-server.js");
  const workdir = join(bench.options.dataDir, "some where");
  mkdirSync(workdir, { recursive: true });
  const { addresses, owner } = await bench.started({
    image: `exec:${process.execPath}`,
    args: [script, "a b"],
    workdir,
  });
  using session = await openSession(addresses, owner.token);
  expect(await session.call("args")).toEqual(["a b"]);
  expect(await session.call("cwd")).toBe(workdir);
});

it("gives a server this environment and no other", async () => {
  const { addresses, owner } = await bench.started({ env: { OWN: "1" } });
  const names = v.parse(v.array(v.string()), await callOnce(addresses, owner.token, "variables"));
  // The mark finds it again, the switch makes the executable a Bun; LANG and HOME are the manager's.
  const expected = ["BUN_BE_BUN", "HOME", "LANG", "LINKSPAN_PROCESS", "OWN", "PATH", "TMPDIR"];
  expect(names.filter((name) => !expected.includes(name))).toEqual([]);
  expect(names).toContain("OWN");
});

it("takes no code and no variable from the folder that an npm server works in", async () => {
  const workdir = join(bench.options.dataDir, "trap");
  mkdirSync(workdir, { recursive: true });
  writeFileSync(join(workdir, ".env"), "FROM_DOTENV=1\n");
  writeFileSync(join(workdir, "bunfig.toml"), 'preload = ["./preload.js"]\n');
  writeFileSync(join(workdir, "preload.js"), "process.env.FROM_PRELOAD = '1';");
  const { addresses, owner } = await bench.started({ workdir });
  using session = await openSession(addresses, owner.token);
  expect(await session.call("env", { name: "FROM_DOTENV" })).toBeNull();
  expect(await session.call("env", { name: "FROM_PRELOAD" })).toBeNull();
});

it("refuses what is not there or cannot be, before anything is made", async () => {
  const refusals: [Parameters<ContractBench["spec"]>[0], string][] = [
    [{ image: "exec:no-such-program-anywhere" }, "not-found"],
    [{ image: "exec:/etc" }, "not-found"],
    [{ image: "exec:./build.ts" }, "not-found"],
    [{ image: "alpine:3.20" }, "unsupported"],
    [{ volumes: ["/etc/hostname:/data"] }, "unsupported"],
    [{ network: "backend" }, "unsupported"],
  ];
  for (const [body, kind] of refusals) {
    expect(await rejection(bench.created(body)), JSON.stringify(body)).toMatchObject({
      kind,
      hint: expect.any(String),
    });
  }
  for (const body of [{ workdir: "/no/such/folder" }, { volumes: ["/no/such:/no/such"] }]) {
    expect(await rejection(bench.created(body)), JSON.stringify(body)).toMatchObject({ kind: "invalid" });
  }
  expect(await bench.ours()).toEqual([]);
});

it("leaves no process when the bridge is killed, and says how it ended", async () => {
  const { instance, addresses, owner } = await bench.started();
  using session = await openSession(addresses, owner.token);
  await session.call("stay");
  const { run } = await describedOf(instance.id);
  await until("bridge, server and its child", () => family(instance.id, run.bridge).length === 3);
  process.kill(run.bridge.pid, "SIGKILL");
  await until("the end of the family", () => family(instance.id, undefined).length === 0);
  expect(await endWithin([run.shim], 5_000)).toBe(true);
  expect(await bench.current(instance.id)).toMatchObject({ state: "ended", exit: { code: 137, reason: "killed" } });
});

it("stops a bridge that has lost its shim", async () => {
  const { instance, addresses, owner } = await bench.started();
  const { run } = await describedOf(instance.id);
  process.kill(run.shim.pid, "SIGKILL");
  expect(await endWithin([run.shim], 5_000)).toBe(true);
  expect((await bench.current(instance.id)).state).toBe("running");
  expect(await callOnce(addresses, owner.token, "echo", [1])).toEqual([1]);
  await bench.runtime.stop(instance.id, 3_000, bench.deadline());
  expect(await bench.current(instance.id)).toMatchObject({ state: "ended", exit: { reason: "killed" } });
  expect(family(instance.id, undefined)).toEqual([]);
});

it("takes no process for its bridge that only has the same PID", async () => {
  const { instance } = await bench.created();
  const running = await bench.runtime.start(instance.id, bench.deadline());
  const { folder, run } = await describedOf(running.id);
  const file = join(folder, "run.json");
  const real = readFileSync(file, "utf8");
  const other = Bun.spawn(["sleep", "60"]);
  const stale = { pid: other.pid, start: "before the reboot:1" };
  writeFileSync(file, JSON.stringify({ ...JSON.parse(real), bridge: stale, shim: stale }));
  expect((await bench.current(running.id)).state).toBe("ended");
  await bench.runtime.stop(running.id, 0, bench.deadline());
  expect(other.killed).toBe(false);
  writeFileSync(file, real);
  expect((await bench.current(running.id)).state).toBe("running");
  other.kill();
  expect(run.bridge.pid).not.toBe(other.pid);
});

it("says why a start has failed, and can start once the reason is gone", async () => {
  const workdir = join(bench.options.dataDir, "comes and goes");
  mkdirSync(workdir, { recursive: true });
  const { instance } = await bench.created({ workdir });
  rmSync(workdir, { recursive: true });
  const failed = bench.runtime.start(instance.id, bench.deadline());
  expect(await rejection(failed)).toMatchObject({
    kind: "server-failed",
    message: expect.stringContaining("did not start"),
  });
  expect(await bench.current(instance.id)).toMatchObject({ state: "ended", exit: { reason: "crash" } });
  mkdirSync(workdir, { recursive: true });
  expect((await bench.runtime.start(instance.id, bench.deadline())).state).toBe("running");
});

it("reports health like an engine, and a frozen bridge as paused", async () => {
  const health = { interval: 1_000, timeout: 200, startPeriod: 0, retries: 1 };
  const { instance } = await bench.started({ health });
  const { run } = await describedOf(instance.id);
  await until("healthy", async () => (await bench.current(instance.id)).health === "healthy");
  process.kill(run.bridge.pid, "SIGSTOP");
  await until("paused", async () => (await bench.current(instance.id)).state === "paused");
  const { folder } = await describedOf(instance.id);
  await until("unhealthy", () => readFileSync(join(folder, "health.json"), "utf8").includes("unhealthy"));
  process.kill(run.bridge.pid, "SIGCONT");
  await until("healthy again", async () => (await bench.current(instance.id)).health === "healthy");
});

it("keeps the log over a stop and a start", async () => {
  const { instance, addresses, owner } = await bench.started();
  await callOnce(addresses, owner.token, "log", { lines: ["from the first run"] });
  await bench.runtime.stop(instance.id, 3_000, bench.deadline());
  await bench.runtime.start(instance.id, bench.deadline());
  expect(await logOf(instance.id)).toContain("from the first run");
});

it("starts what is installed without a registry: the exact version silently, a tag with a word", async () => {
  const tagged = bench.spec({ image: "npm:linkspan-contract-server" });
  const exact = bench.spec();
  for (const spec of [tagged, exact]) await bench.runtime.prepare(spec, () => {}, bench.deadline());
  const registry = process.env.NPM_CONFIG_REGISTRY;
  process.env.NPM_CONFIG_REGISTRY = "http://127.0.0.1:9/";
  try {
    const said: Progress[] = [];
    await bench.runtime.prepare(exact, (progress) => said.push(progress), bench.deadline());
    expect(said).toEqual([]);
    await bench.runtime.prepare(tagged, (progress) => said.push(progress), bench.deadline());
    expect(said.at(-1)?.detail).toContain("using linkspan-contract-server@1.0.0 as before");
    expect((await bench.runtime.create(tagged, bench.owner(tagged), bench.deadline())).state).toBe("pending");
    const unknown = bench.spec({ image: "npm:linkspan-contract-server@^1" });
    const prepared = bench.runtime.prepare(unknown, () => {}, bench.deadline());
    expect(await rejection(prepared)).toMatchObject({ kind: "unreachable" });
  } finally {
    process.env.NPM_CONFIG_REGISTRY = registry;
  }
});

it("knows an exact version that another reference has installed", async () => {
  const dataDir = join(bench.options.dataDir, "other refs");
  const runtime = new ProcessRuntime({ dataDir });
  await runtime.prepare(bench.spec({ image: "npm:linkspan-contract-server" }), () => {}, bench.deadline());
  const asked = bench.requests.length;
  const exact = bench.spec();
  await runtime.prepare(exact, () => {}, bench.deadline());
  expect((await runtime.create(exact, bench.owner(exact), bench.deadline())).state).toBe("pending");
  expect(bench.requests.length).toBe(asked);
});

it("ends with its folder", async () => {
  const { instance } = await bench.started();
  const { folder, run } = await describedOf(instance.id);
  rmSync(folder, { recursive: true });
  expect(await endWithin([run.bridge, run.shim], 15_000)).toBe(true);
});

it("installs once for many at the same time", async () => {
  const dataDir = join(bench.options.dataDir, "fresh");
  const runtimes = [1, 2, 3, 4].map(() => new ProcessRuntime({ dataDir }));
  const spec = bench.spec();
  await Promise.all(runtimes.map((runtime) => runtime.prepare(spec, () => {}, bench.deadline())));
  const glob = new Bun.Glob("npm/*/linkspan-npm.json");
  expect([...glob.scanSync({ cwd: dataDir })].length).toBe(1);
  expect([...new Bun.Glob("npm/.draft-*").scanSync({ cwd: dataDir, dot: true, onlyFiles: false })]).toEqual([]);
});
