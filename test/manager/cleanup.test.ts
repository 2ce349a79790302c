/** The reaper over real managers and real server processes: whose is removed, whose stays, and who wins a race. */
import { expect, setSystemTime, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SILENT } from "../../src/base/log.ts";
import { openDataDir } from "../../src/manager/data-dir.ts";
import { Manager } from "../../src/manager/manager.ts";
import type { CleanupBody } from "../../src/model/cleanup.ts";
import { ProcessRuntime } from "../../src/runtime/process/process.ts";
import { dialSession } from "../../src/transport/session.ts";
import { SEED } from "../support/seed.ts";
import { until } from "../support/until.ts";
import { ask, fixture, openStage, quiet, soon, type Stage } from "./stage.ts";

const PLAIN = fixture("plain-server.ts");
const front = (server: string) => ({ server, pid: process.pid, ppid: process.ppid });
const NOW: CleanupBody = { dryRun: false, force: false };

/** Several managers, each with a data directory of its own, over the processes of one folder. */
async function neighbours(name: string): Promise<{ open: typeof openStage; path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), `linkspan-cleanup-${name}-`));
  const shared = () => new ProcessRuntime({ dataDir: path });
  return {
    path,
    open: (label, options = {}) => openStage(label, options, shared),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

const clean = (stage: Stage, request: Partial<CleanupBody> = {}) =>
  stage.manager.cleanup.run({ ...NOW, ...request }, soon());

/** Until the manager has looked so many times by itself. */
async function passes({ manager: { cleanup } }: Stage, count: number): Promise<void> {
  for (let seen = 0, last = cleanup.last; seen < count; seen += 1) {
    last = await until("another pass", () => cleanup.last !== last && cleanup.last);
  }
}

async function runningIn(path: string): Promise<string[]> {
  const all = await new ProcessRuntime({ dataDir: path }).list({}, soon());
  return all.filter(({ state }) => state === "running").map(({ labels }) => labels["linkspan.server"] ?? "");
}

test("what a manager left is removed by another one, but for what is in use", async () => {
  await using place = await neighbours("dead");
  await using other = await place.open("other");
  await using gone = await place.open("gone");
  for (const name of ["unused", "used", "ended"]) await gone.manager.start(name, PLAIN, quiet, soon());
  await gone.manager.stop("ended", soon());
  const grant = await gone.manager.acquire(front("used"), "front", quiet, soon());
  const session = await dialSession({ addresses: grant.addresses, token: grant.token, session: grant.session }, soon());
  const lines: string[] = [];
  session.open({ line: (line) => void lines.push(line), ended: () => {} });

  expect(await clean(other)).toMatchObject({ removed: [], failed: [], kept: 3 });
  await gone.manager.close(soon());
  const dry = await clean(other, { dryRun: true });
  expect(dry.removed.map(({ server, reason }) => [server, reason]).toSorted()).toEqual([
    ["ended", "orphaned"],
    ["unused", "orphaned"],
  ]);
  expect((await runningIn(place.path)).toSorted()).toEqual(["unused", "used"]);
  const only = dry.removed.filter(({ server }) => server === "ended").map(({ id }) => id);
  expect(await clean(other, { only: [...only, "nobody"] })).toMatchObject({ removed: [{ server: "ended" }], kept: 2 });
  const done = await clean(other);
  expect(done.removed.map(({ server }) => server)).toEqual(["unused"]);
  expect(await runningIn(place.path)).toEqual(["used"]);

  session.send(
    JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name: "echo", arguments: { text: "still here" } },
    }),
  );
  await until("the answer", () => lines.length === 1);
  expect(lines[0]).toContain("still here");
  session.detach();
  await until("its server is gone, too", async () => {
    await clean(other);
    return (await runningIn(place.path)).length === 0;
  });
  const kinds = other.manager.events.recent(50).filter(({ kind }) => kind === "cleanup.removed");
  expect(kinds).toHaveLength(3);
  expect(kinds[0]).toMatchObject({ data: { kind: "container", reason: "orphaned" } });
});

test("what was started without a lease outlives its manager, unless somebody forces it", async () => {
  await using place = await neighbours("lease");
  await using other = await place.open("other");
  await using gone = await place.open("gone");
  await gone.manager.start("for-ever", fixture("plain-server.ts", [], { lease: "none" }), quiet, soon());
  await gone.manager.close(soon());
  expect(await clean(other)).toMatchObject({ removed: [], kept: 1 });
  expect(await runningIn(place.path)).toEqual(["for-ever"]);
  expect(await clean(other, { force: true })).toMatchObject({ removed: [{ server: "for-ever" }], kept: 0 });
});

test("a manager that is restarted finds its servers: the pass that nobody asked for is patient", async () => {
  await using place = await neighbours("patient");
  await using gone = await place.open("gone");
  await gone.manager.start("mine", PLAIN, quiet, soon());
  await gone.manager.close(soon());
  await using eager = await place.open("eager", { cleanup: { intervalMs: 50, maxAgeMs: 0, patienceMs: 60_000 } });
  await passes(eager, 3);
  expect(await runningIn(place.path)).toEqual(["mine"]);
  const back = await gone.reopen();
  await until("it is taken over", () => back.servers()[0]?.state === "ready");
  expect(await ask(back, "mine", "echo", "hello")).toContain("hello");
  await back.close(soon());
  await using quick = await place.open("quick", { cleanup: { intervalMs: 50, maxAgeMs: 0, patienceMs: 200 } });
  await until("it is removed", async () => (await runningIn(place.path)).length === 0);
  await passes(quick, 1);
  expect(quick.manager.events.recent(20).map(({ kind }) => kind)).toContain("cleanup.removed");
});

test("idle for too long: what sessions started goes, what was started by name or is in use stays", async () => {
  await using place = await neighbours("aged");
  await using stage = await place.open("aged", { cleanup: { intervalMs: 50, maxAgeMs: 400 } });
  const { manager } = stage;
  await manager.start("named", PLAIN, quiet, soon());
  const ref = (await manager.start("by-session", PLAIN, quiet, soon())).name;
  await manager.stop(ref, soon());
  const used = await manager.acquire(front(ref), "front", quiet, soon());
  await passes(stage, 12);
  expect((await runningIn(place.path)).toSorted()).toEqual(["by-session", "named"]);
  manager.release(used.session);
  await until("it is removed", async () => (await runningIn(place.path)).length === 1);
  expect(await runningIn(place.path)).toEqual(["named"]);
  await passes(stage, 1);
  const [removed] = manager.events.recent(50).filter(({ kind }) => kind === "cleanup.removed");
  expect(removed).toMatchObject({ server: "by-session", data: { reason: "aged" } });
  expect(await ask(manager, ref, "echo", "again")).toContain("again");
  await manager.stop("named", soon());
  await until("what was stopped goes, too", async () => (await clean(stage, { dryRun: true })).kept === 0);
});

test("a clock that is set a day forward or back makes nothing old and nobody dead", async () => {
  await using place = await neighbours("clock");
  await using gone = await place.open("gone");
  await gone.manager.start("left", PLAIN, quiet, soon());
  await gone.manager.close(soon());
  await using stage = await place.open("clock", {
    servers: [{ name: "mine", ...PLAIN }],
    cleanup: { intervalMs: 50, maxAgeMs: 3_600_000 },
  });
  const { manager } = stage;
  manager.release((await manager.acquire(front("mine"), "front", quiet, soon())).session);
  try {
    for (const days of [1, -1]) {
      setSystemTime(new Date(Date.now() + days * 86_400_000));
      await passes(stage, 3);
      expect((await runningIn(place.path)).length).toBe(2);
    }
  } finally {
    setSystemTime();
  }
});

test("the data directory of a front's own manager goes when nothing needs its key any more", async () => {
  await using place = await neighbours("embedded");
  await using other = await place.open("other");
  const { path } = other.manager.dataDir;
  const [used, unused, alive] = ["used", "unused", "alive"].map((name) => join(path, "embedded", name)) as [
    string,
    string,
    string,
  ];
  openDataDir(unused, SILENT).close();
  const living = openDataDir(alive, SILENT);
  await mkdir(join(path, "embedded", "not-ours"));
  const shared = new ProcessRuntime({ dataDir: place.path });
  const open = () =>
    new Manager({
      runtime: shared,
      dataDir: openDataDir(used, SILENT),
      servers: [],
      log: SILENT,
      allowWeaker: true,
      stopServersOnExit: false,
    });
  const embedded = open();
  await embedded.start("lost", fixture("plain-server.ts", [], { lease: "none" }), quiet, soon());
  await embedded.close(soon());
  await clean(other);
  expect([used, unused, alive].map((dir) => existsSync(dir))).toEqual([true, false, true]);
  await clean(other, { force: true });
  expect([used, alive, join(path, "embedded", "not-ours")].map((dir) => existsSync(dir))).toEqual([false, true, true]);
  living.close();
});

test("another manager's lock, an unknown owner and a damaged label protect what they belong to", async () => {
  await using place = await neighbours("unknown");
  await using other = await place.open("other");
  await using gone = await place.open("gone");
  await gone.manager.start("mine", PLAIN, quiet, soon());
  await gone.manager.close(soon());
  const record = join(
    place.path,
    "process",
    (await new ProcessRuntime({ dataDir: place.path }).list({}, soon()))[0]?.id ?? "",
    "record.json",
  );
  const written = await Bun.file(record).text();
  const parsed = JSON.parse(written);
  const owner = JSON.parse(parsed.labels["linkspan.owner"]);
  for (const label of [
    undefined,
    "",
    "{}",
    JSON.stringify({ ...owner, host: "another" }),
    JSON.stringify({ ...owner, dir: "/missing", mounts: "another" }),
  ]) {
    await writeFile(record, JSON.stringify({ ...parsed, labels: { ...parsed.labels, "linkspan.owner": label } }));
    expect(await clean(other, { force: true })).toMatchObject({ removed: [], kept: 1 });
  }
  // The data directory is gone, and the process, too: nobody has the key, and the bridge cannot be asked.
  const child = Bun.spawn(["true"]);
  await child.exited;
  const lost = JSON.stringify({ ...owner, dir: "/missing", pid: child.pid });
  await writeFile(record, JSON.stringify({ ...parsed, labels: { ...parsed.labels, "linkspan.owner": lost } }));
  expect(await clean(other)).toMatchObject({ removed: [], kept: 1 });
  expect(await clean(other, { force: true })).toMatchObject({ removed: [{ server: "mine" }], kept: 0 });
  expect(await runningIn(place.path)).toEqual([]);
});

test("30 races between a new session and the reaper: every session gets its answer", async () => {
  process.stderr.write(`random test "races": LINKSPAN_SEED=${SEED}\n`);
  await using place = await neighbours("race");
  await using stage = await place.open("race", { cleanup: { intervalMs: 0, maxAgeMs: 1 } });
  const { manager } = stage;
  const random = seededRandom(SEED);
  await manager.start("racy", PLAIN, quiet, soon());
  await manager.stop("racy", soon());
  let reaped = 0;
  for (let round = 0; round < 30; round += 1) {
    const [answer, report] = await Promise.all([
      Bun.sleep(random() * 40).then(() => ask(manager, "racy", "echo", `round ${round}`)),
      Bun.sleep(random() * 40).then(() => clean(stage)),
    ]);
    expect(answer).toContain(`round ${round}`);
    expect(report.failed).toEqual([]);
    reaped += report.removed.length;
  }
  // Else nothing was tested.
  expect(reaped).toBeGreaterThan(1);
}, 60_000);

function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
