/** A call that is cancelled ends on the engine, too: seen by a proxy in front of it, and by what the engine has afterwards. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { LABELS } from "../../src/compose/project.ts";
import { Deadline } from "../../src/base/deadline.ts";
import { at, inspectContainer, listContainers, removeContainer } from "../../src/docker/containers.ts";
import { runCommand } from "../../src/docker/exec.ts";
import { inspectImage, removeImage } from "../../src/docker/images.ts";
import { listNetworks, removeNetwork } from "../../src/docker/networks.ts";
import { removeVolume } from "../../src/docker/volumes.ts";
import * as v from "valibot";
import { ENGINE, engine, engineTest } from "../support/engine.ts";
import { startImageRegistry } from "../support/image-registry.ts";
import { busyboxImage, debianPackage, testImage } from "../support/images.ts";
import { type RecordingProxy, startRecordingProxy } from "../support/recording-proxy.ts";
import { rejection } from "../support/rejection.ts";
import { type ToolsetClient, toolsetClient } from "../support/toolset-client.ts";
import { until } from "../support/until.ts";

const prefix = `linkspan-test-cancel-${process.pid}`;
const label = { label: [`linkspan.test=${prefix}`] };
const deadline = () => Deadline.in(30_000);
const SETTLED_MS = 10_000;
/** Longer than between two looks of anything that looks again and again. */
const QUIET_MS = 700;

describe("cancelled", () => {
  let proxy: RecordingProxy;
  let session: ToolsetClient;
  beforeAll(async () => {
    if (!ENGINE) return;
    // What is held is under way when it is cancelled, however fast the machine is.
    proxy = await startRecordingProxy(ENGINE, /images\/load|images\/[^ ]*\/get|\/archive\?/);
    session = await toolsetClient({ env: { DOCKER_HOST: `unix://${proxy.path}` } });
  });
  afterAll(async () => {
    if (!ENGINE) return;
    await session[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    const project = { label: [`${LABELS.project}=${prefix}`] };
    for (const { Id } of [
      ...(await listContainers(ENGINE, label, deadline())),
      ...(await listContainers(ENGINE, project, deadline())),
    ])
      await removeContainer(ENGINE, Id, deadline());
    for (const { Id } of await listNetworks(ENGINE, project, deadline())) await removeNetwork(ENGINE, Id, deadline());
    await removeVolume(ENGINE, prefix, deadline());
    for (const ref of [`${prefix}:pushed`, `${prefix}:large`]) await removeImage(ENGINE, ref, deadline());
  });

  /** Calls, waits until the call is where it shall be, cancels, and waits until the engine hears nothing of it any more. */
  async function cancelled(name: string, args: Record<string, unknown>, reached: () => unknown): Promise<void> {
    const stop = new AbortController();
    const call = session.client.callTool({ name, arguments: args }, { signal: stop.signal });
    const ended = call.then(
      ({ content }) => new Error(`it ended by itself: ${JSON.stringify(content)}`),
      () => undefined,
    );
    await Promise.race([until(`${name} is under way`, reached), ended.then((error) => error && Promise.reject(error))]);
    stop.abort();
    expect(await ended).toBeUndefined();
    await until("the end of its connections", () => proxy.open().length === 0, SETTLED_MS);
  }

  const asks = (text: string) => () => proxy.open().some((line) => line.includes(text));
  const container = async (image: string, more: Record<string, unknown> = {}) => {
    const labels = { "linkspan.test": prefix };
    const made = await session.call("docker_run_container", { image, labels, ...more });
    expect([made.text, made.isError]).toEqual([made.text, undefined]);
    return String(made.structured["id"]);
  };
  const idle = { entrypoint: ["/bin/busybox"], command: ["sleep", "600"] };
  const processes = async (id: string) => {
    const answer = v.object({ Processes: v.array(v.array(v.string())) });
    const request = { what: "top", method: "GET", path: at(id, "top") } as const;
    return (await engine().call(request, answer, deadline())).Processes.map((row) => row.at(-1) ?? "");
  };

  engineTest("a command ends with all that it has started: as root, as a user, deaf to SIGTERM", async () => {
    const id = await container(await busyboxImage(engine()), idle);
    const script = "trap '' TERM; /bin/busybox sleep 601 & while :; do /bin/busybox sleep 1; done";
    for (const more of [{}, { user: "1234" }]) {
      const args = { container_id: id, command: ["/bin/sh", "-c", script], ...more };
      await cancelled("docker_exec_command", args, async () =>
        (await processes(id)).some((line) => line.includes("sleep 601")),
      );
      await until("the end of its processes", async () => (await processes(id)).length === 1, SETTLED_MS);
    }
  });

  engineTest("in an image without a shell: from here; and where that cannot be, it is said", async () => {
    const folder = await debianPackage("busybox-static");
    const sleep = { kind: "file", name: "sleep", path: join(folder, "bin/busybox"), mode: 0o755 } as const;
    const image = await testImage(engine(), "sleep", [sleep], ['ENTRYPOINT ["/sleep"]']);
    const id = await container(image, { command: ["600"] });
    const command = ["/sleep", "602"];
    const { endpoint } = engine();
    if (endpoint.kind === "socket" && process.getuid?.() === 0) {
      await cancelled("docker_exec_command", { container_id: id, command }, async () =>
        (await processes(id)).includes("/sleep 602"),
      );
      await until("the end of its process", async () => (await processes(id)).length === 1, SETTLED_MS);
    }
    const far = Object.assign(Object.create(engine()), { endpoint: { kind: "ssh", host: "far" } });
    const over = runCommand(far, id, { Cmd: command, Env: [] }, () => {}, Deadline.in(500));
    expect(await rejection(over)).toMatchObject({
      kind: "timeout",
      message: expect.stringContaining("it still runs"),
      hint: expect.stringContaining("docker_restart_container"),
    });
  });

  engineTest("a pull and a push: the registry sees the end", async () => {
    const files = { tools: [{ kind: "bytes", name: "a", bytes: Buffer.alloc(300_000, prefix) }] } as const;
    const gate = Promise.withResolvers<void>();
    const options = { drips: true, uploads: gate.promise };
    await using registry = await startImageRegistry({ tools: [...files.tools] }, options);
    const image = `${registry.host}/tools:latest`;
    await cancelled("docker_pull_image", { image }, () => registry.asked.filter((one) => /blobs/.test(one)).length > 1);
    await until("the end at the registry", () => registry.abandoned() > 0, SETTLED_MS);
    expect(await inspectImage(engine(), image, deadline())).toBeUndefined();
    const made = await session.call("docker_build_image", {
      files: { Dockerfile: "FROM scratch\nCOPY Dockerfile /\n" },
      tag: `${prefix}:pushed`,
    });
    expect(made.isError).toBeUndefined();
    const tag = { image: `${prefix}:pushed`, repository: `${registry.host}/pushed` };
    expect((await session.call("docker_tag_image", tag)).isError).toBeUndefined();
    await cancelled("docker_push_image", { image: `${registry.host}/pushed` }, () =>
      registry.asked.some((path) => path.endsWith("/blobs/uploads/")),
    );
    // An engine waits for the answer to what it has asked, takes that back, and goes no further.
    gate.resolve();
    await Bun.sleep(QUIET_MS);
    expect(registry.asked.filter((path) => path.includes("/v2/pushed/manifests/"))).toEqual([]);
    await removeImage(engine(), `${registry.host}/pushed:latest`, deadline());
  });

  engineTest("a build: the container of its step is gone", async () => {
    const Dockerfile = `FROM ${await busyboxImage(engine())}\nLABEL linkspan.test=${prefix}\nRUN ["/bin/busybox", "sleep", "603"]\n`;
    const steps = () => listContainers(engine(), label, deadline());
    const before = (await steps()).length;
    await cancelled("docker_build_image", { files: { Dockerfile } }, async () => (await steps()).length > before);
    await until("the end of its container", async () => (await steps()).length === before, SETTLED_MS);
  });

  engineTest("save, load, backup: no file, no part of one, and nothing loaded", async () => {
    const tag = `${prefix}:large`;
    const bytes = Buffer.alloc(4_000_000, crypto.randomUUID()).toString("latin1");
    const files = Object.fromEntries([1, 2, 3, 4].map((index) => [`f${index}`, bytes.slice(index, index + 1_000_000)]));
    const made = await session.call("docker_build_image", {
      files: { Dockerfile: "FROM scratch\nCOPY f1 f2 f3 f4 /\n", ...files },
      tag,
    });
    expect([made.text, made.isError]).toEqual([made.text, undefined]);
    await cancelled("docker_save_image", { image: tag, file: "cut.tar" }, asks("/get"));
    const archives = () => readdir(join(session.dataDir, "archives"));
    const left = (names: string[]) =>
      until(`no more than ${names.join()}`, async () => (await archives()).join() === names.join(), SETTLED_MS);
    await left([]);
    await using straight = await toolsetClient({ dataDir: session.dataDir });
    expect((await straight.call("docker_save_image", { image: tag, file: "whole.tar" })).isError).toBeUndefined();
    await removeImage(engine(), tag, deadline());
    await cancelled("docker_load_image", { file: "whole.tar" }, asks("/images/load"));
    expect(await inspectImage(engine(), tag, deadline())).toBeUndefined();

    const volume = { volume_name: prefix };
    const filler = "for i in 1 2 3; do /bin/busybox head -c 1000000 /dev/urandom > /data/$i; done";
    await container(await busyboxImage(engine()), {
      entrypoint: ["/bin/sh", "-c", filler],
      volumes: [`${prefix}:/data:rw`],
    });
    const helpers = async () => (await listContainers(engine(), { volume: [prefix] }, deadline())).length;
    await until("the end of the writer", async () => {
      const [one] = await listContainers(engine(), { volume: [prefix] }, deadline());
      return (await inspectContainer(engine(), one?.Id ?? "", deadline()))?.State.Status === "exited";
    });
    const before = await helpers();
    await cancelled("docker_backup_volume", { ...volume, file: "cut.tar.gz" }, asks("/archive?"));
    await until("the end of its helper", async () => (await helpers()) === before, SETTLED_MS);
    await left(["whole.tar"]);
  });

  engineTest("a log that is followed, a wait, and a project that is being brought up ask no more", async () => {
    const image = await busyboxImage(engine());
    const id = await container(image, idle);
    const follow = { container_id: id, follow: true, follow_seconds: 60 };
    await cancelled("docker_container_logs", follow, asks("/logs?"));
    // The cancellation itself is still on its way when the client has given up.
    const quiet = () =>
      until(
        "the last request",
        async () => {
          const before = proxy.requestLines().length;
          await Bun.sleep(QUIET_MS);
          return proxy.requestLines().length === before;
        },
        SETTLED_MS,
      );
    const count = proxy.requestLines().length;
    const wait = { container_id: id, condition: "exited", timeout: 60 };
    await cancelled("docker_wait_container", wait, () => proxy.requestLines().length > count + 3);
    await quiet();
    const content = `
name: ${prefix}
services:
  first:
    image: ${image}
    entrypoint: [/bin/busybox, sleep, "600"]
    healthcheck: { test: [CMD, /bin/busybox, "false"], interval: 60s }
    stop_grace_period: 0s
  second: { image: "${image}", depends_on: { first: { condition: service_healthy } } }
`;
    const own = { label: [`${LABELS.project}=${prefix}`] };
    const names = async () => (await listContainers(engine(), own, deadline())).map(({ State }) => State);
    await cancelled("docker_compose_up", { content }, async () => (await names()).includes("running"));
    await quiet();
    expect(await names()).toEqual(["running"]);
  });

  engineTest("the client goes away: a command that it has begun ends all the same", async () => {
    const id = await container(await busyboxImage(engine()), idle);
    {
      await using other = await toolsetClient();
      const command = ["/bin/busybox", "sleep", "604"];
      other.call("docker_exec_command", { container_id: id, command }).catch(() => {});
      await until("it runs", async () => (await processes(id)).length === 2);
    }
    await until("the end of its process", async () => (await processes(id)).length === 1, SETTLED_MS);
  });
});
