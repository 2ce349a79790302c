/** An engine behind SSH, for real: the system's ssh, a private sshd, the engine that all tests use. */
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { removeContainer } from "../../src/docker/containers.ts";
import { linkspan, tempDir } from "../support/cli.ts";
import { ENGINE, engine } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { fixtureBody } from "../e2e/images.ts";
import { RawFront } from "../e2e/raw-front.ts";
import { Stage } from "../e2e/stage.ts";
import { type SshHost, sshProblem, startSshHost } from "../support/ssh-host.ts";
import { toolsetClient } from "../support/toolset-client.ts";
import { until } from "../support/until.ts";

const name = `linkspan-test-ssh-${process.pid}`;

let host: SshHost | undefined;
let problem = ENGINE ? await sshProblem() : "no container engine";
if (!problem) {
  try {
    host = await startSshHost();
  } catch (error) {
    problem = String(error);
  }
}
if (problem) process.stderr.write(`\n!! the tests of an engine behind SSH were SKIPPED: ${problem}\n`);

describe.skipIf(!host)("behind SSH", () => {
  let env: Record<string, string>;
  const to = (address: string) => ({ ...env, DOCKER_HOST: "", DOCKER_BASE_URL: address });
  beforeAll(() => {
    env = { PATH: `${host?.path}:${process.env.PATH}`, SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true" };
  });
  afterAll(async () => {
    await removeContainer(engine(), name, Deadline.in(20_000));
    await host?.[Symbol.asyncDispose]();
  });

  test("the tools: a container's life, many calls at once over one login, paths of this machine refused", async () => {
    const before = (await host?.logins()) ?? 0;
    await using session = await toolsetClient({ env: to("ssh://engine") });
    const version = await session.call("docker_version");
    expect([version.text, version.structured["version"]]).toEqual([version.text, engine().version]);
    const image = await busyboxImage(engine());
    const script = "echo through the tunnel; exec /bin/busybox sleep 600";
    const run = await session.call("docker_run_container", {
      image,
      name,
      entrypoint: ["/bin/busybox", "sh", "-c", script],
    });
    expect([run.text, run.structured.state]).toEqual([run.text, "running"]);
    const container_id = name;
    const logs = await session.call("docker_container_logs", { container_id, follow: true, follow_seconds: 1 });
    expect(logs.text).toBe("through the tunnel");
    const put = await session.call("docker_copy_to_container", {
      container_id,
      path: "/",
      files: [{ path: "large", content: "x".repeat(900_000) }],
    });
    expect(put.isError).toBeUndefined();
    const command = ["/bin/busybox", "wc", "-c", "/large"];
    const calls = Array.from({ length: 8 }, () => session.call("docker_exec_command", { container_id, command }));
    for (const { structured, text } of await Promise.all(calls))
      expect([text, structured.stdout]).toEqual([text, "900000 /large\n"]);
    // One, and perhaps more where so many sessions at once are not allowed on it; not one for each call.
    expect(((await host?.logins()) ?? 0) - before).toBeLessThan(8);
    const bound = await session.call("docker_create_container", { image, volumes: ["/srv:/srv"] });
    expect(bound.structured.kind).toBe("unsupported");
  });

  test("linkspan doctor", async () => {
    await using dir = await tempDir("ssh-doctor");
    const there = { ...to("ssh://engine"), LINKSPAN_DATA_DIR: dir.path, LINKSPAN_PUBLISH_ADDRESS: "127.0.0.1" };
    const ran = await linkspan(["doctor", "--json"], { env: there });
    expect([ran.out, JSON.parse(ran.out)]).toEqual([
      ran.out,
      expect.arrayContaining([expect.objectContaining({ check: "engine", status: "ok" })]),
    ]);
  });

  test("a server, its bridge dialled at the address that is published", async () => {
    const there = { ...to("ssh://engine"), LINKSPAN_PUBLISH_ADDRESS: "127.0.0.1" };
    await using stage = await Stage.open("docker", { env: there });
    await stage.start("far", await fixtureBody("plain-server"));
    const front = new RawFront(stage.front("far"));
    await front.initialize();
    expect((await front.call("echo", { text: "from afar" })).result).toMatchObject({
      content: [{ text: "from afar" }],
    });
    front.endInput();
    expect(await front.ended()).toBe(0);
  });

  test("nothing is left: no ssh, no socket", async () => {
    const left = () => readdirSync(tmpdir()).filter((one) => one.startsWith("linkspan-ssh-"));
    const before = new Set(left());
    {
      await using session = await toolsetClient({ env: to("ssh://engine") });
      await session.call("docker_version");
      expect(left().filter((one) => !before.has(one))).toHaveLength(1);
    }
    await until("the end of all of it", () => left().every((one) => before.has(one)));
    await until("the end of the login", () => host?.open() === 0);
  });

  test.each([
    ["stranger", "unauthenticated", "known_hosts"],
    ["changed", "unauthenticated", "another key"],
    ["nobody", "unauthenticated", "agent"],
    ["elsewhere", "unreachable", "ssh elsewhere"],
    ["engine/nowhere/docker.sock", "unreachable", "on that machine"],
    ["-oProxyCommand=touch", "usage", "ssh://USER@HOST"],
  ])("ssh://%s is %s", async (address, kind, hint) => {
    await using session = await toolsetClient({ env: to(`ssh://${address}`) });
    const { structured, text } = await session.call("docker_list_containers");
    expect([text, structured.kind, structured.hint]).toEqual([text, kind, expect.stringContaining(hint)]);
  });
});
