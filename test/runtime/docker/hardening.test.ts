import { describe, expect } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { callOnce, openSession } from "../../support/contract-client.ts";
import { DockerBench } from "../../support/docker-bench.ts";
import { engine, engineTest } from "../../support/engine.ts";
import { busyboxImage, scratchImage } from "../../support/images.ts";
import { listContainers } from "../../../src/docker/containers.ts";
import { inspectNetwork, listNetworks, removeNetwork } from "../../../src/docker/networks.ts";
import { LABEL } from "../../../src/runtime/labels.ts";
import { open } from "../../support/docker-subject.ts";
import { startRecordingProxy } from "../../support/recording-proxy.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";

const MIB = 1024 ** 2;

describe("what a container is allowed", () => {
  engineTest("the defaults, read back from the engine", async () => {
    await using bench = await DockerBench.open();
    const { instance } = await bench.created({ image: await scratchImage(engine()) });
    const { HostConfig, Config, Name, Mounts } = await bench.description(instance.id);
    expect(Name).toBe(`/${instance.name}`);
    expect(instance.name).toStartWith(`linkspan-${bench.instance}-`);
    expect(HostConfig).toMatchObject({
      Memory: 512 * MIB,
      MemorySwap: 512 * MIB,
      NanoCpus: 1_000_000_000,
      PidsLimit: 128,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Privileged: false,
      ReadonlyRootfs: true,
      Init: true,
      Tmpfs: { "/tmp": `rw,nosuid,nodev,noexec,mode=1777,size=${64 * MIB}` },
      IpcMode: "private",
      PidMode: "",
      UsernsMode: "",
      RestartPolicy: { Name: "no" },
      NetworkMode: `linkspan-${bench.instance}-none`,
      Dns: ["127.0.0.1"],
      PublishAllPorts: false,
      LogConfig: { Type: "json-file", Config: { "max-size": "5m", "max-file": "2" } },
      AutoRemove: false,
    });
    expect(HostConfig["CapAdd"] ?? []).toEqual([]);
    expect(HostConfig["Devices"] ?? []).toEqual([]);
    expect(HostConfig["Binds"] ?? []).toEqual([]);
    expect(HostConfig["PortBindings"] ?? {}).toEqual({});
    expect(Mounts).toEqual([expect.objectContaining({ Destination: "/.linkspan", RW: false, Type: "volume" })]);
    expect(Config).toMatchObject({
      OpenStdin: false,
      Tty: false,
      StopSignal: "SIGTERM",
      Healthcheck: { Interval: 30e9, Timeout: 3e9, StartPeriod: 5e9, Retries: 3 },
    });
    expect(Config.Labels).toMatchObject({ "managed-by": "linkspan", [LABEL.instance]: bench.instance });
    expect(JSON.stringify(Config)).not.toContain(bench.token);
    const network = await inspectNetwork(engine(), `linkspan-${bench.instance}-none`, bench.deadline());
    expect(network).toMatchObject({ Internal: true, Options: { "com.docker.network.bridge.enable_icc": "false" } });
  });

  engineTest("each of them as the spec says", async () => {
    await using bench = await DockerBench.open();
    const shared = await mkdtemp(join(bench.folder, "shared-"));
    const { instance } = await bench.created({
      image: await scratchImage(engine()),
      limits: { memory: "96m", cpus: 0.5, pids: 20, tmp: "8m" },
      health: { interval: "7s", timeout: "2s", startPeriod: "1s", retries: 5 },
      network: "egress",
      readOnly: false,
      capAdd: ["NET_BIND_SERVICE"],
      stopTimeout: "12s",
      volumes: [{ source: shared, target: "/mine" }],
    });
    const { HostConfig, Config, Mounts } = await bench.description(instance.id);
    expect(HostConfig).toMatchObject({
      Memory: 96 * MIB,
      MemorySwap: 96 * MIB,
      NanoCpus: 500_000_000,
      PidsLimit: 20,
      ReadonlyRootfs: false,
      NetworkMode: `linkspan-${bench.instance}-egress`,
      Tmpfs: { "/tmp": expect.stringContaining(`size=${8 * MIB}`) },
    });
    expect(HostConfig["CapAdd"]).toEqual([expect.stringMatching(/^(CAP_)?NET_BIND_SERVICE$/)]);
    expect(Config).toMatchObject({
      StopTimeout: 12,
      Healthcheck: { Interval: 7e9, Timeout: 2e9, StartPeriod: 1e9, Retries: 5 },
    });
    expect(Mounts).toContainEqual(
      expect.objectContaining({
        Type: "bind",
        Source: shared,
        Destination: "/mine",
        RW: false,
        Propagation: "rprivate",
      }),
    );
    const network = await inspectNetwork(engine(), `linkspan-${bench.instance}-egress`, bench.deadline());
    expect(network).toMatchObject({ Internal: false, Options: { "com.docker.network.bridge.enable_icc": "false" } });
  });

  engineTest("no variable's value and no secret is in any URL of the whole way to a running server", async () => {
    await using proxy = await startRecordingProxy(engine());
    await using bench = await DockerBench.open({ env: { ...process.env, DOCKER_HOST: `unix://${proxy.path}` } });
    const value = "VALUE_THAT_IS_IN_NO_URL";
    const secret = "SECRET_THAT_NEVER_REACHES_THE_ENGINE";
    const { instance } = await bench.created({
      image: await scratchImage(engine()),
      env: { A: value },
      secrets: { B: secret },
    });
    await bench.runtime.start(instance.id, bench.deadline());
    expect(proxy.sent()).toContain(value);
    expect(proxy.requestLines().join("\n")).not.toContain(value);
    expect(proxy.sent()).not.toContain(secret);
    expect(proxy.sent()).not.toContain(bench.token);
  });

  engineTest("memory beyond the limit ends the server, and the watch says so", async () => {
    await using bench = await DockerBench.open();
    const image = await busyboxImage(engine(), [`ENTRYPOINT ["/bin/sh","-c","read x; a=x; while :; do a=$a$a; done"]`]);
    const { instance, addresses, token } = await bench.running({ image, limits: { memory: "80m" } });
    const stop = new AbortController();
    let oomAt: number | undefined;
    const watching = (async () => {
      for await (const seen of bench.runtime.watch({ [LABEL.instance]: bench.instance }, stop.signal))
        oomAt ??= seen.oomAt;
    })();
    using session = await openSession(addresses, token);
    session.call("eat").catch(() => {});
    await until("the watch tells of it", () => oomAt, 20_000);
    expect(Math.abs((oomAt ?? 0) - Date.now())).toBeLessThan(600_000);
    expect((await bench.runtime.inspect(instance.id, bench.deadline())).instance.state).toBe("running");
    stop.abort();
    await watching;
  });
});

describe("what never stays behind", () => {
  const ours = async (bench: DockerBench) =>
    (await listContainers(engine(), { label: [`${LABEL.instance}=${bench.instance}`] }, bench.deadline())).length;

  engineTest("an image that cannot be pulled makes no container", async () => {
    await using bench = await DockerBench.open();
    const image = "127.0.0.1:9/linkspan-test/nothing:1";
    expect(await rejection(bench.created({ image }))).toMatchObject({ kind: "unreachable" });
    const spec = bench.spec({ image });
    expect(await rejection(bench.runtime.create(spec, bench.owner(spec), bench.deadline()))).toMatchObject({
      kind: "not-found",
    });
    expect(await ours(bench)).toBe(0);
    // The other preparations have ended, too: none of them makes a network after the clean-up.
    await bench.runtime.clean(bench.instance, bench.deadline());
    const mine = { label: [`${LABEL.instance}=${bench.instance}`] };
    expect(await listNetworks(engine(), mine, bench.deadline())).toEqual([]);
  });

  engineTest("a start that fails leaves no container, and says why", async () => {
    await using bench = await DockerBench.open();
    const { instance } = await bench.created({ image: await scratchImage(engine()), user: "nobody-knows-him" });
    expect(await rejection(bench.runtime.start(instance.id, bench.deadline()))).toMatchObject({
      kind: "server-failed",
      message: expect.stringContaining("nobody-knows-him"),
    });
    expect(await ours(bench)).toBe(0);
  });

  engineTest("a name that somebody else has is left to him", async () => {
    await using bench = await DockerBench.open();
    const { spec, instance } = await bench.created({ image: await scratchImage(engine()) });
    const other = { ...spec, args: ["another spec"] };
    const second = await bench.runtime.create(other, bench.owner(other), bench.deadline());
    expect(second.name).toBe(`${instance.name}-2`);
    expect((await bench.runtime.create(other, bench.owner(other), bench.deadline())).id).toBe(second.id);
    expect(await ours(bench)).toBe(2);
  });

  engineTest("managers of the same instance that create at once make one", async () => {
    await using bench = await DockerBench.open();
    const { spec, instance } = await bench.created({ image: await scratchImage(engine()) });
    await bench.runtime.remove(instance.id, bench.deadline());
    const managers = Array.from({ length: 6 }, () => open({ instance: bench.instance, dataDir: bench.folder }));
    const made = await Promise.all(
      managers.map((manager) => manager.create(spec, bench.owner(spec), bench.deadline())),
    );
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    expect(await ours(bench)).toBe(1);
  });

  engineTest(
    "a stopped server whose network was pruned starts all the same; clean keeps the networks of stopped ones",
    async () => {
      await using bench = await DockerBench.open();
      const { spec, instance } = await bench.running({ image: await scratchImage(engine()) });
      await bench.runtime.stop(instance.id, 5_000, bench.deadline());
      await bench.runtime.clean(bench.instance, bench.deadline());
      expect((await bench.runtime.create(spec, bench.owner(spec), bench.deadline())).id).toBe(instance.id);
      await removeNetwork(engine(), `linkspan-${bench.instance}-none`, bench.deadline());
      const anew = await bench.runtime.create(spec, bench.owner(spec), bench.deadline());
      expect(anew.id).not.toBe(instance.id);
      expect((await bench.runtime.start(anew.id, bench.deadline())).state).toBe("running");
      expect(await ours(bench)).toBe(1);
    },
  );

  engineTest("a paused container is seen, stopped and removed", async () => {
    await using bench = await DockerBench.open();
    const { instance } = await bench.running({ image: await scratchImage(engine()) });
    const pause = { what: "pausing", method: "POST", path: `/containers/${instance.id}/pause` } as const;
    await engine().act(pause, bench.deadline());
    expect((await bench.runtime.inspect(instance.id, bench.deadline())).instance.state).toBe("paused");
    await bench.runtime.stop(instance.id, 5_000, bench.deadline());
    expect((await bench.runtime.inspect(instance.id, bench.deadline())).instance.state).toBe("ended");
    await bench.runtime.start(instance.id, bench.deadline());
    await engine().act(pause, bench.deadline());
    await bench.runtime.remove(instance.id, bench.deadline());
    expect(await ours(bench)).toBe(0);
  });

  engineTest("a watch whose stream is cut goes on, and tells what happened meanwhile", async () => {
    await using proxy = await startRecordingProxy(engine());
    await using bench = await DockerBench.open({ env: { ...process.env, DOCKER_HOST: `unix://${proxy.path}` } });
    const { instance } = await bench.created({ image: await scratchImage(engine()) });
    const stop = new AbortController();
    const states: string[] = [];
    const watching = (async () => {
      for await (const seen of bench.runtime.watch({ [LABEL.instance]: bench.instance }, stop.signal))
        states.push(seen.state);
    })();
    await until("the first look", () => states.includes("pending"));
    proxy.cut();
    const beside = open({ instance: bench.instance, dataDir: bench.folder });
    await beside.start(instance.id, bench.deadline());
    await until("the start", () => states.includes("running"));
    proxy.cut();
    await beside.remove(instance.id, bench.deadline());
    await until("the removal", () => states.at(-1) === "lost");
    stop.abort();
    await watching;
  });

  engineTest("a call that is under way when the connection is cut ends at once", async () => {
    await using proxy = await startRecordingProxy(engine());
    await using bench = await DockerBench.open({ env: { ...process.env, DOCKER_HOST: `unix://${proxy.path}` } });
    const { instance, addresses, token } = await bench.running({ image: await scratchImage(engine()) });
    expect(await callOnce(addresses, token, "where")).toMatchObject({ argv: ["/server"] });
    const stopping = bench.runtime.stop(instance.id, 20_000, bench.deadline());
    const line = `POST /v${engine().api}/containers/${instance.id}/wait`;
    await until("the wait", () => proxy.sent().includes(line));
    proxy.cut();
    const outcome = await stopping.then(
      () => "ended",
      (error: unknown) => error,
    );
    // The container may have ended before the cut.
    if (outcome !== "ended") expect(outcome).toMatchObject({ kind: "unreachable" });
  });
});
