/** The reaper over a real container engine. It sees the containers of this file only: other tests use the engine, too. */
import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import type { ContainerConfig } from "../../src/docker/container-config.ts";
import { createContainer, inspectContainer, removeContainer, startContainer } from "../../src/docker/containers.ts";
import { removeImage } from "../../src/docker/images.ts";
import { inspectNetwork } from "../../src/docker/networks.ts";
import type { CleanupBody } from "../../src/model/cleanup.ts";
import type { DataDir } from "../../src/manager/data-dir.ts";
import { LABEL, MANAGED_BY } from "../../src/runtime/labels.ts";
import { ownerLabel } from "../../src/runtime/owner.ts";
import type { Labels, Runtime } from "../../src/runtime/runtime.ts";
import { dialSession } from "../../src/transport/session.ts";
import { open } from "../support/docker-subject.ts";
import { engine, engineTest } from "../support/engine.ts";
import { scratchImage } from "../support/images.ts";
import { parseBody } from "./specs.ts";
import { openStage, quiet, soon, type Stage } from "./stage.ts";

/** Managers that see each other's containers, and nobody else's. */
function neighbourhood(): (dir: DataDir) => Runtime {
  const ours = new Set<string>();
  const isOurs = ({ labels }: { labels: Labels }) => ours.has(labels[LABEL.instance] ?? labels["linkspan.test"] ?? "");
  return ({ instance, path }) => {
    ours.add(instance);
    const runtime = open({ instance, dataDir: path });
    const list = runtime.list.bind(runtime);
    runtime.list = async (labels, deadline) => (await list(labels, deadline)).filter(isOurs);
    const networks = runtime.leftovers.networks;
    runtime.leftovers.networks = async (deadline) => (await networks(deadline)).filter(isOurs);
    return runtime;
  };
}

const clean = ({ manager }: Stage, request: Partial<CleanupBody> = {}) =>
  manager.cleanup.run({ dryRun: false, force: false, ...request }, soon(60_000));
const exists = async (id: string) => (await inspectContainer(engine(), id, soon())) !== undefined;

/** Containers made by hand, and images that nobody else has, gone at the end whatever happens. */
class Containers implements AsyncDisposable {
  private readonly made: string[] = [];
  private readonly images: string[] = [];

  /** One of its own: whose containers are looked for by their image is nobody else's. */
  async image(): Promise<string> {
    const image = await scratchImage(engine(), [`LABEL linkspan.round=${randomBytes(4).toString("hex")}`]);
    this.images.push(image);
    return image;
  }

  async make(Image: string, Labels: Labels, more: Partial<ContainerConfig> = {}): Promise<string> {
    const name = `linkspan-test-${randomBytes(5).toString("hex")}`;
    const config = { Image, Labels, HostConfig: { NetworkMode: "none" }, ...more };
    const id = await createContainer(engine(), name, config, soon());
    this.made.push(id);
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.made.map((id) => removeContainer(engine(), id, soon())));
    await Promise.all(this.images.map((image) => removeImage(engine(), image, soon())));
  }
}

const SMALL = { limits: { memory: "32m" } };

engineTest(
  "77 orphans of a manager that is gone, some running: all gone at once, its network, too; a live session stays",
  async () => {
    const runtimeOf = neighbourhood();
    await using other = await openStage("orphans-other", { allowWeaker: false }, runtimeOf);
    await using gone = await openStage("orphans-gone", { allowWeaker: false }, runtimeOf);
    await using containers = new Containers();
    const { manager } = gone;
    const { instance, path } = manager.dataDir;
    const body = parseBody({ image: await scratchImage(engine()), ...SMALL });
    for (const name of ["one", "two", "three", "used"]) await manager.start(name, body, quiet, soon());
    const request = { server: "used", pid: process.pid, ppid: process.ppid };
    const { addresses, token, session: id } = await manager.acquire(request, "front", quiet, soon());
    const session = await dialSession({ addresses, token, session: id }, soon());
    const answered = Promise.withResolvers<string>();
    session.open({ line: answered.resolve, ended: (end) => answered.resolve(JSON.stringify(end)) });
    await manager.close(soon());
    // What was made and never got to run: what a manager that is killed again and again leaves.
    const labels = { [LABEL.managedBy]: MANAGED_BY, [LABEL.instance]: instance, [LABEL.owner]: ownerLabel(path) };
    const image = await scratchImage(engine());
    for (let left = 74; left > 0; left -= 1) await containers.make(image, { ...labels, [LABEL.server]: `s${left}` });

    const report = await clean(other);
    expect(report).toMatchObject({ failed: [], kept: 2 });
    expect(report.removed).toHaveLength(77);
    for (const { id: removed } of report.removed) expect(await exists(removed)).toBe(false);
    session.send('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}');
    expect(await answered.promise).toContain('"result"');
    expect(await inspectNetwork(engine(), `linkspan-${instance}-none`, soon())).toBeDefined();

    session.detach();
    let last = await clean(other);
    for (const until = performance.now() + 20_000; last.kept > 0 && performance.now() < until;)
      last = await clean(other);
    expect(last.removed.map(({ kind }) => kind)).toEqual(["container", "network"]);
    expect(await inspectNetwork(engine(), `linkspan-${instance}-none`, soon())).toBeUndefined();
  },
  120_000,
);

engineTest(
  "a manager that ends without containers leaves no network; with one it does, for the next manager",
  async () => {
    const runtimeOf = neighbourhood();
    await using stage = await openStage("network", { allowWeaker: false }, runtimeOf);
    const { instance } = stage.manager.dataDir;
    const network = () => inspectNetwork(engine(), `linkspan-${instance}-none`, soon());
    const body = parseBody({ image: await scratchImage(engine()), ...SMALL });
    await stage.manager.start("short", body, quiet, soon());
    const next = await stage.reopen();
    expect(await network()).toBeDefined();
    await next.stop("short", soon());
    const third = await stage.reopen();
    expect(await network()).toBeDefined();
    await third.remove("short", soon());
    await stage.reopen();
    expect(await network()).toBeUndefined();
  },
);

engineTest("helpers of a process that is gone go, those of one that works stay", async () => {
  const runtimeOf = neighbourhood();
  await using stage = await openStage("helpers", { allowWeaker: false }, runtimeOf);
  await using containers = new Containers();
  const image = await scratchImage(engine());
  const child = Bun.spawn(["true"]);
  await child.exited;
  const ours = { [LABEL.managedBy]: MANAGED_BY, "linkspan.test": stage.manager.dataDir.instance };
  const lost = JSON.stringify({ ...JSON.parse(ownerLabel()), pid: child.pid });
  const [working, left, foreign] = [
    await containers.make(image, { ...ours, [LABEL.owner]: ownerLabel() }),
    await containers.make(image, { ...ours, [LABEL.owner]: lost }),
    await containers.make(image, { ...ours, [LABEL.owner]: "somebody" }),
  ];
  expect(await clean(stage, { force: true })).toMatchObject({ removed: [{ id: left }], failed: [], kept: 2 });
  expect([await exists(working), await exists(foreign)]).toEqual([true, true]);
});

engineTest(
  "containers of a named image go by force; of living clients, other images and other tools they stay",
  async () => {
    const runtimeOf = neighbourhood();
    await using stage = await openStage("legacy", { allowWeaker: false }, runtimeOf);
    await using containers = new Containers();
    const image = await containers.image();
    const child = Bun.spawn(["true"]);
    await child.exited;
    const now = Math.floor(Date.now() / 1000);
    const session = (pid: number) => ({ [LABEL.session]: `mcp-session-1-${pid}-${now}` });
    const [orphan, alive, plain, composed, another] = [
      await containers.make(image, session(child.pid)),
      await containers.make(image, session(process.pid)),
      await containers.make(image, {}),
      await containers.make(image, { "com.docker.compose.project": "other" }),
      await containers.make(await scratchImage(engine()), session(child.pid)),
    ];
    const dry = await clean(stage, { force: true, image, dryRun: true });
    expect(dry.removed.map(({ id, reason }) => [id, reason]).toSorted()).toEqual(
      [
        [orphan, "legacy"],
        [plain, "legacy"],
      ].toSorted(),
    );
    expect(await exists(orphan)).toBe(true);
    expect((await clean(stage, { force: true, image })).removed).toHaveLength(2);
    expect(await Promise.all([orphan, plain].map(exists))).toEqual([false, false]);
    expect(await Promise.all([alive, composed, another].map(exists))).toEqual([true, true, true]);
  },
);

engineTest("a legacy container that runs goes only when its client is gone", async () => {
  const runtimeOf = neighbourhood();
  await using stage = await openStage(
    "legacy-runs",
    { allowWeaker: false, cleanup: { intervalMs: 0, maxAgeMs: 3_600_000 } },
    runtimeOf,
  );
  await using containers = new Containers();
  const image = await containers.image();
  const child = Bun.spawn(["true"]);
  await child.exited;
  const now = Math.floor(Date.now() / 1000);
  const stdin = { OpenStdin: true } as Partial<ContainerConfig>;
  const orphan = await containers.make(image, { [LABEL.session]: `mcp-session-1-${child.pid}-${now}` }, stdin);
  const young = await containers.make(image, {}, stdin);
  for (const id of [orphan, young]) await startContainer(engine(), id, soon());
  expect(await clean(stage, { force: true, image })).toMatchObject({ removed: [{ id: orphan }], failed: [] });
  expect(await Promise.all([orphan, young].map(exists))).toEqual([false, true]);
});
