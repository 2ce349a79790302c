/** The tools about the engine as a whole, on a real one. */
import { afterAll, expect, test } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { removeContainer } from "../../src/docker/containers.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { expectWorked } from "../support/proofs.ts";
import { busyboxImage } from "../support/images.ts";
import { toolsetClient } from "../support/toolset-client.ts";

const prefix = `linkspan-test-system-${process.pid}`;
const made: string[] = [];
afterAll(async () => {
  for (const name of made) if (ENGINE) await removeContainer(ENGINE, name, Deadline.in(20_000));
});

engineTest("what the engine is, what it has, how it is", async () => {
  await using session = await toolsetClient();
  const info = await session.call("docker_system_info");
  expect(info.structured.cpus).toBeGreaterThan(0);
  expect(info.structured.info).not.toHaveProperty("HttpProxy");
  expect((await session.call("docker_version")).structured).toMatchObject({ version: expect.stringMatching(/^\d/) });
  const df = await session.call("docker_system_df");
  expect(df.structured).toMatchObject({
    images: { count: expect.any(Number) },
    volumes: { bytes: expect.any(Number) },
  });
  const health = await session.call("docker_healthcheck");
  expect(health.structured).toMatchObject({ healthy: true });
});

test("an engine that is not there is an answer of the health check", async () => {
  await using session = await toolsetClient({ env: { DOCKER_HOST: "unix:///nowhere/docker.sock" } });
  const health = await session.call("docker_healthcheck");
  expect(health).toMatchObject({ structured: { healthy: false, hint: expect.stringContaining("start Docker") } });
  expect(health.isError).toBeUndefined();
});

engineTest("events of the past, and those that come", async () => {
  await using session = await toolsetClient();
  const since = new Date(Date.now() - 1000).toISOString();
  const name = `${prefix}-events`;
  const other = `${name}-other`;
  made.push(name, other);
  if (!ENGINE) throw new Error("no engine");
  await session.call("docker_create_container", { image: await busyboxImage(ENGINE), name });
  const past = await session.call("docker_events", { since, until: "0s", filters: { container: name } });
  expect(past.structured.events).toMatchObject([{ type: "container", action: "create", attributes: { name } }]);
  // It cannot be seen from here when the engine has begun to listen: the name goes to and fro until it has been heard.
  let heard = false;
  const coming = session.call("docker_events", { since: "0s", filters: { container: [name, other] }, wait_seconds: 3 });
  const done = coming.finally(() => (heard = true));
  for (let [from, to] = [name, other]; !heard; [from, to] = [to, from])
    await session.call("docker_rename_container", { container_id: from, new_name: to });
  const { structured } = await done;
  expect(structured.events).toContainEqual(expect.objectContaining({ action: "rename" }));
});

engineTest("what is wrong with a container", async () => {
  await using session = await toolsetClient();
  if (!ENGINE) throw new Error("no engine");
  const image = await busyboxImage(ENGINE);
  const shell = (script: string) => ({ image, entrypoint: ["/bin/busybox"], command: ["sh", "-c", script] });
  const eat = "a=x; while :; do a=$a$a; done";
  const cases: [string, Record<string, unknown>, string, RegExp][] = [
    ["oom", { ...shell(eat), memory: "16m" }, "exited", /killed for memory: it wanted more than its limit of 16 MiB/],
    ["code", shell("echo last words; exit 3"), "exited", /exit code 3[^]*last words/],
    ["missing", shell("nothing-like-this"), "exited", /exit code 127: the command was not found/],
    ["restarts", { ...shell("exit 1"), restart_policy: "always" }, "running", /restarted \d+ times/],
    [
      "unhealthy",
      {
        ...shell("/bin/busybox sleep 600"),
        health_check: { command: ["/bin/busybox", "sh", "-c", "echo not yet; exit 1"], interval: "1s", retries: 1 },
      },
      "healthy",
      /health check has failed[^]*not yet/,
    ],
  ];
  const diagnosed = cases.map(async ([suffix, spec, condition, expected]) => {
    const container_id = `${prefix}-${suffix}`;
    made.push(container_id);
    await session.call("docker_run_container", { ...spec, name: container_id });
    if (condition === "exited") await session.call("docker_wait_container", { container_id, condition });
    const deadline = Deadline.in(30_000);
    let text = "";
    while (!expected.test(text) && !deadline.passed) {
      ({ text } = await session.call("docker_diagnose", { container_id }));
      await Bun.sleep(200);
    }
    expect([suffix, text]).toEqual([suffix, expect.stringMatching(expected)]);
  });
  await Promise.all(diagnosed);
  const absent = await session.call("docker_diagnose", { container_id: `${prefix}-none` });
  expect(absent.structured.kind).toBe("not-found");
});

engineTest("the tools that are shown here have worked", async () => expectWorked(import.meta.path));
