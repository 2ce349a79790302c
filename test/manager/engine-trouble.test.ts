/** What engines and registries refuse: each is told apart, with what to do, and leaves nothing half made. */
import { describe, expect } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import type { Entry } from "../../src/docker/archive.ts";
import { listContainers } from "../../src/docker/containers.ts";
import { removeImage } from "../../src/docker/images.ts";
import { listNetworks } from "../../src/docker/networks.ts";
import type { DataDir } from "../../src/manager/data-dir.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import type { Progress } from "../../src/runtime/runtime.ts";
import { open } from "../support/docker-subject.ts";
import { engine, engineTest } from "../support/engine.ts";
import { EngineProxy } from "../support/engine-proxy.ts";
import { type RegistryOptions, startImageRegistry } from "../support/image-registry.ts";
import { scratchImage } from "../support/images.ts";
import { until } from "../support/until.ts";
import { parseBody } from "./specs.ts";
import { ask, faultOf, openStage, quiet, type Stage, soon } from "./stage.ts";

const layer: Entry[] = [{ kind: "bytes", name: "data", bytes: crypto.getRandomValues(new Uint8Array(64 * 1024)) }];

const through = (proxy: EngineProxy) => (dir: DataDir) =>
  open({ instance: dir.instance, dataDir: dir.path, env: { DOCKER_HOST: proxy.host } });

async function openThrough(proxy: EngineProxy, name: string): Promise<Stage> {
  return await openStage(name, { allowWeaker: false }, through(proxy));
}

async function containers(stage: Stage): Promise<string[]> {
  const filter = { label: [`${LABEL.instance}=${stage.manager.dataDir.instance}`] };
  return (await listContainers(engine(), filter, Deadline.in(10_000))).map(({ State }) => State);
}

describe("the engine's version", () => {
  const version = (api: string, min: string) => ({
    line: /\/version\? /,
    answer: { status: 200, body: { Version: "77.0", ApiVersion: api, MinAPIVersion: min, Os: "linux", Arch: "amd64" } },
  });

  engineTest("a newer one that still speaks ours is spoken to in ours", async () => {
    await using proxy = await EngineProxy.start(engine());
    const { api } = engine();
    // What it would understand of API 1.51 the engine behind it understands of its own.
    proxy.rules.push(version("1.90", "1.44"), {
      line: / \/v1\.51\//,
      line2: (line) => line.replace("/v1.51/", `/v${api}/`),
    });
    await using stage = await openThrough(proxy, "newer");
    const body = parseBody({ image: await scratchImage(engine()) });
    expect(await stage.manager.start("newer", body, quiet, soon())).toMatchObject({ state: "ready" });
    expect(proxy.asked.filter((line) => / \/v(?!1\.51\/)/.test(line.replace("/version", "")))).toEqual([]);
  });

  engineTest("too old and too new are told apart, once, and nothing is made", async () => {
    const rows = [
      ["1.30", "1.12", "update Docker to 19.03 or later"],
      ["2.10", "1.99", "update Linkspan"],
    ] as const;
    for (const [api, min, hint] of rows) {
      await using proxy = await EngineProxy.start(engine());
      proxy.rules.push(version(api, min));
      await using stage = await openThrough(proxy, "version");
      const fault = await faultOf(stage.manager.start("any", parseBody({ image: "any:1" }), quiet, soon()));
      expect(fault).toMatchObject({ kind: "unsupported", hint });
      expect(fault.message).toBe(`the container engine 77.0 speaks API ${min} to ${api}, Linkspan 1.40 to 1.51`);
      expect(proxy.asked.filter((line) => !line.startsWith("GET /version"))).toEqual([]);
      proxy.rules.length = 0;
      // The engine was changed under a manager that runs: nobody has to restart that.
      await until("it is ready", () => stage.manager.readiness().ready, 10_000);
    }
  });
});

describe("an image", () => {
  async function startOf(
    options: RegistryOptions,
    body: (stage: Stage, ref: string, steps: Progress[]) => Promise<void>,
  ) {
    await using registry = await startImageRegistry({ "linkspan-test/thing": layer }, options);
    await using stage = await openStage("image", { allowWeaker: false }, (dir) =>
      open({ instance: dir.instance, dataDir: dir.path }),
    );
    const ref = `${registry.host}/linkspan-test/thing:1`;
    const steps: Progress[] = [];
    try {
      await body(stage, ref, steps);
      expect(await containers(stage)).toEqual([]);
    } finally {
      await removeImage(engine(), ref, Deadline.in(10_000));
    }
  }

  const refusals: [name: string, options: RegistryOptions, kind: string, hint: string][] = [
    ["that is missing", {}, "not-found", "check the image's name"],
    ["behind a login (401)", { login: "ann:hunter2" }, "unauthenticated", "docker login"],
    ["of which too much was pulled (429)", { limited: true }, "exhausted", "the registry limits pulls"],
  ];
  for (const [name, options, kind, hint] of refusals) {
    engineTest(`${name}: said with its way out, no container is made`, async () => {
      await startOf(options, async (stage, ref) => {
        const image = Object.keys(options).length === 0 ? ref.replace("thing", "nothing") : ref;
        const fault = await faultOf(stage.manager.start("thing", parseBody({ image }), quiet, soon()));
        expect(fault).toMatchObject({ kind, hint: expect.stringContaining(hint) });
        expect(stage.manager.server("thing")).toMatchObject({ state: "failed", reason: fault.message });
      });
    });
  }

  engineTest("whose pull stalls: the client hears of it and has its deadline; a stop ends the pull", async () => {
    await startOf({ stalls: true }, async (stage, ref, steps) => {
      const report = (step: Progress) => void steps.push(step);
      const fault = await faultOf(stage.manager.start("thing", parseBody({ image: ref }), report, soon(1_500)));
      expect(fault.kind).toBe("timeout");
      expect(steps.filter(({ step, detail }) => step === "pull" && detail?.includes(ref)).length).toBeGreaterThan(1);
      await stage.manager.stop("thing", soon());
      expect(stage.manager.server("thing").state).toBe("stopped");
    });
  });

  engineTest("for which the engine has no space: said as that, no container is made", async () => {
    await using proxy = await EngineProxy.start(engine());
    const message =
      "failed to register layer: Error processing tar file(exit status 1): write /data: no space left on device";
    // In the words of Engine 20.10, which come with status 200 inside the progress.
    proxy.rules.push({
      line: /POST .*\/images\/create/,
      answer: { status: 200, body: { errorDetail: { message }, error: message } },
    });
    await using stage = await openThrough(proxy, "no-space");
    const fault = await faultOf(stage.manager.start("big", parseBody({ image: "linkspan-test/big:1" }), quiet, soon()));
    expect(fault).toMatchObject({ kind: "exhausted", hint: expect.stringContaining("free disk space") });
    expect(await containers(stage)).toEqual([]);
  });
});

engineTest("a port that is taken at the start: said as that, no container stays in the state Created", async () => {
  await using proxy = await EngineProxy.start(engine());
  const message =
    "driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:49153 failed: port is already allocated";
  proxy.rules.push({ line: /POST .*\/start\? /, answer: { status: 500, body: { message } } });
  await using stage = await openThrough(proxy, "port");
  const body = parseBody({ image: await scratchImage(engine()) });
  const fault = await faultOf(stage.manager.start("port", body, quiet, soon()));
  expect(fault).toMatchObject({ kind: "conflict", hint: "another program has that port" });
  expect(await containers(stage)).toEqual([]);
  proxy.rules.length = 0;
  expect(await stage.manager.start("port", body, quiet, soon())).toMatchObject({ state: "ready" });
});

engineTest("two managers on two directories: start, stop, cleanup and end of one leave the other's alone", async () => {
  const docker = (dir: DataDir) => open({ instance: dir.instance, dataDir: dir.path });
  await using one = await openStage("one", { allowWeaker: false }, docker);
  await using two = await openStage("two", { allowWeaker: false }, docker);
  const volume = `linkspan-test-${one.manager.dataDir.instance}`;
  const body = parseBody({ image: await scratchImage(engine()), volumes: [`${volume}:/data:rw`] });
  const before = await one.manager.start("same", body, quiet, soon());
  await two.manager.start("same", parseBody({ image: await scratchImage(engine()) }), quiet, soon());
  await two.manager.stop("same", soon());
  await two.manager.start("same", undefined, quiet, soon());
  expect(
    (await two.manager.cleanup.run({ dryRun: false, force: true }, soon())).removed.map(({ name }) => name),
  ).not.toContain(before.container);
  expect((await faultOf(two.manager.volumes.remove(volume, false, soon()))).kind).not.toBe("not-found");
  await two.manager.remove("same", soon());
  const last = await two.reopen({ stopServersOnExit: true });
  await last.close(soon());
  const theirs = { label: [`${LABEL.instance}=${last.dataDir.instance}`] };
  expect(await listNetworks(engine(), theirs, Deadline.in(10_000))).toEqual([]);
  expect(one.manager.server("same")).toMatchObject({ id: before.id, since: before.since, state: "ready" });
  expect(await ask(one.manager, "same", "any")).toContain('"result"');
  await one.manager.remove("same", soon());
  await one.manager.volumes.remove(volume, true, soon());
});
