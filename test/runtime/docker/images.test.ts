import { describe, expect } from "bun:test";
import type { Engine } from "../../../src/docker/engine.ts";
import { inspectVolume } from "../../../src/docker/volumes.ts";
import { callOnce } from "../../support/contract-client.ts";
import { type DockerBench, sharedBench } from "../../support/docker-bench.ts";
import { engine, engineTest } from "../../support/engine.ts";
import { busyboxImage, glibcImage, muslImage, nativeServer, scratchImage, testImage } from "../../support/images.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";

const shared = sharedBench();

/** What the servers of test/fixtures answer. */
interface Where {
  uid: number;
  gid: number;
  cwd: string;
  argv: string[];
  root: boolean;
  tmp: boolean;
  data?: boolean;
  zombies?: number;
  preload?: string;
  bun?: string;
}

async function ask(bench: DockerBench, body: Parameters<DockerBench["running"]>[0], method = "where"): Promise<Where> {
  const { addresses, token } = await bench.running(body);
  return (await callOnce(addresses, token, method)) as Where;
}

describe("any image, with the bridge injected", () => {
  const images: [name: string, make: (engine: Engine, changes?: string[]) => Promise<string>, program: string][] = [
    ["FROM scratch, one static program", scratchImage, "/server"],
    ["static busybox", busyboxImage, "/server.sh"],
    ["glibc", glibcImage, "/server.sh"],
    ["musl", muslImage, "/server"],
  ];
  for (const [name, make, program] of images) {
    engineTest(`${name}: its own entrypoint, command, working directory and user`, async () => {
      const bench = await shared();
      const image = await make(engine(), ['CMD ["one","two words"]', "WORKDIR /srv/deep", "USER 1234:4321"]);
      expect(await ask(bench, { image })).toMatchObject({
        uid: 1234,
        gid: 4321,
        cwd: "/srv/deep",
        argv: [program, "one", "two words"],
        root: false,
        tmp: true,
      });
    });
  }

  engineTest("command, arguments, user, directory and a writable root of the spec win over the image's", async () => {
    const bench = await shared();
    const image = await scratchImage(engine(), ['CMD ["of","the image"]', "WORKDIR /work", "USER 1234"]);
    const argsOnly = await ask(bench, { image, args: ["mine"] });
    expect(argsOnly.argv).toEqual(["/server", "mine"]);
    const body = {
      image,
      command: ["/server", "own"],
      user: "7:8",
      workdir: "/tmp",
      readOnly: false,
      capAdd: ["DAC_OVERRIDE"],
    };
    expect(await ask(bench, body)).toMatchObject({ uid: 7, gid: 8, cwd: "/tmp", argv: ["/server", "own"] });
    const asRoot = await ask(bench, { image, user: "0", readOnly: false });
    expect(asRoot).toMatchObject({ uid: 0, root: true });
    expect(await ask(bench, { image, user: "0" })).toMatchObject({ uid: 0, root: false, tmp: true });
  });

  engineTest("variables of the image that would steer the bridge reach the server alone", async () => {
    const bench = await shared();
    const image = await scratchImage(engine(), [
      "ENV BUN_BE_BUN=1 LD_PRELOAD=/nowhere.so LD_LIBRARY_PATH=/nowhere LINKSPAN_CHILD_ENV=broken",
    ]);
    expect(await ask(bench, { image })).toMatchObject({ bun: "1", preload: "/nowhere.so" });
    expect(await ask(bench, { image, env: { BUN_BE_BUN: "0", LD_PRELOAD: "" } })).toMatchObject({
      bun: "0",
      preload: "",
    });
  });

  engineTest("what an image declares of labels, volumes, ports and health changes nothing", async () => {
    const bench = await shared();
    const image = await scratchImage(engine(), [
      "LABEL linkspan.nonce=theirs traefik.enable=true mcp-session=theirs",
      "VOLUME /data /tmp",
      "EXPOSE 5465 80",
      "HEALTHCHECK CMD exit 1",
    ]);
    const { instance, addresses, token } = await bench.running({ image, args: ["/data/probe"] });
    expect(instance.labels).toMatchObject({ "traefik.enable": "", "mcp-session": "" });
    expect(instance.labels["linkspan.nonce"]).not.toBe("theirs");
    expect((await callOnce(addresses, token, "where")) as Where).toMatchObject({ data: true, tmp: true });
    // A volume of the engine's would be disk space without a limit.
    const { Mounts } = await bench.description(instance.id);
    expect(Mounts).toEqual([expect.objectContaining({ Type: "volume", Destination: "/.linkspan", RW: false })]);
    const { NetworkSettings, Config } = await bench.description(instance.id);
    expect(Object.values(NetworkSettings.Ports ?? {}).filter(Boolean)).toEqual([]);
    expect(Config["Healthcheck"]).toMatchObject({
      Test: [
        "CMD",
        "/.linkspan/ld.so",
        expect.any(String),
        expect.any(String),
        expect.any(String),
        "health",
        "127.0.0.1:5465",
      ],
    });
  });

  engineTest("an image that would put its own files in the bridge's place is refused", async () => {
    const bench = await shared();
    const image = await scratchImage(engine(), ["VOLUME /.linkspan/lib"]);
    expect(await rejection(bench.created({ image }))).toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("/.linkspan/lib"),
    });
  });

  engineTest("an image that says nothing about what to run is refused", async () => {
    const bench = await shared();
    const image = await scratchImage(engine(), ["ENTRYPOINT []", "CMD []"]);
    expect(await rejection(bench.created({ image }))).toMatchObject({ kind: "invalid", hint: "give a command" });
  });

  engineTest("the engine's health check finds the bridge well", async () => {
    const bench = await shared();
    const { instance } = await bench.running({ image: await scratchImage(engine()), health: { interval: "1s" } });
    const health = async () => (await bench.runtime.inspect(instance.id, bench.deadline())).instance.health;
    await until("healthy", async () => (await health()) === "healthy", 20_000);
  });

  engineTest("1,000 processes that lost their parent leave no zombie, within the limit of processes", async () => {
    const bench = await shared();
    const { addresses, token } = await bench.running({ image: await muslImage(engine()), limits: { pids: 64 } });
    await callOnce(addresses, token, "orphans");
    await until("no zombie", async () => ((await callOnce(addresses, token, "where")) as Where).zombies === 0);
  });
});

describe("folders of the image that are root's", () => {
  engineTest("/tmp and declared volumes can be written by the user all the same", async () => {
    const bench = await shared();
    const server = { kind: "file", name: "server", path: await nativeServer("static"), mode: 0o755 } as const;
    const folders = ["tmp", "data"].map((name) => ({ kind: "folder", name, mode: 0o755 }) as const);
    const changes = ['ENTRYPOINT ["/server"]', "VOLUME /data", "USER 1234"];
    const image = await testImage(engine(), "strict", [server, ...folders], changes);
    expect(await ask(bench, { image, args: ["/data/probe"] })).toMatchObject({
      uid: 1234,
      tmp: true,
      data: true,
      root: false,
    });
  });
});

describe("volumes", () => {
  engineTest(
    "a new named volume belongs to the container's user, whoever that is, and keeps what is in it",
    async () => {
      const bench = await shared();
      const image = await scratchImage(engine());
      const volume = bench.volume();
      const body = { image, args: ["/data/probe"], user: "3000", volumes: [`${volume}:/data:rw`] };
      expect((await ask(bench, body)).data).toBe(true);
      expect((await ask(bench, { ...body, volumes: [`${volume}:/data`] })).data).toBe(false);
      const ofImage = await scratchImage(engine(), ["USER 4000:1"]);
      const other = { image: ofImage, args: ["/data/probe"], volumes: [`${bench.volume()}:/data:rw`] };
      expect((await ask(bench, other)).data).toBe(true);
    },
  );

  engineTest("a user by name is looked up in the image", async () => {
    const bench = await shared();
    const image = await testImage(
      engine(),
      "named-user",
      [
        { kind: "file", name: "server", path: await nativeServer("static"), mode: 0o755 },
        { kind: "bytes", name: "etc/passwd", bytes: Buffer.from("root:x:0:0::/:/x\nnode:x:1500:1600::/:/x\n") },
        { kind: "bytes", name: "etc/group", bytes: Buffer.from("root:x:0:\nstaff:x:1700:\n") },
      ],
      ['ENTRYPOINT ["/server"]'],
    );
    for (const [user, gid] of [
      ["node", 1600],
      ["node:staff", 1700],
    ] as const) {
      const body = { image, args: ["/data/probe"], volumes: [`${bench.volume()}:/data:rw`], user };
      expect(await ask(bench, body)).toMatchObject({ uid: 1500, gid, data: true });
    }
  });

  engineTest("a volume is not removed with its server", async () => {
    const bench = await shared();
    const volume = bench.volume();
    const { instance } = await bench.created({ image: await scratchImage(engine()), volumes: [`${volume}:/data:rw`] });
    await bench.runtime.remove(instance.id, bench.deadline());
    expect((await inspectVolume(engine(), volume, bench.deadline()))?.Labels).toEqual({ "managed-by": "linkspan" });
  });
});
