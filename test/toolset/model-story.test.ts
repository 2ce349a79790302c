/**
 * What a language model's client does when somebody says "my job is down, repair it, then take it away; no, bring it back":
 * one story in both forms of the tools, on a real engine. Each step is made from what the answers before it have said.
 */
import { afterAll, expect } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { inspectContainer, removeContainer } from "../../src/docker/containers.ts";
import { ENGINE, engine, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { type ToolsetClient, toolsetClient } from "../support/toolset-client.ts";

const prefix = `linkspan-test-story-${process.pid}`;
const SECRET = "hunter2";
const MIB = 1024 ** 2;
/** Needs some 48 MiB before it is up, which its limit of 16 MiB does not have. */
const JOB = "a=x; while [ ${#a} -lt 16000000 ]; do a=$a$a; done; echo up > /up; exec /bin/busybox sleep 600";

afterAll(async () => {
  if (!ENGINE) return;
  for (const form of ["full", "compact"]) await removeContainer(ENGINE, `${prefix}-${form}`, Deadline.in(30_000));
});

for (const form of ["full", "compact"] as const) {
  engineTest(`${form} form: find, diagnose, fix, remove, undo`, () => story(form));
}

async function story(form: "full" | "compact"): Promise<void> {
  const name = `${prefix}-${form}`;
  const compact = form === "compact";
  await using session = await toolsetClient({ compact, env: { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true" } });
  const said: unknown[] = [];
  const call = async (tool: string, args: Record<string, unknown>) => {
    const answer = await session.call(tool, args);
    said.push(answer);
    return answer;
  };
  const done = async (tool: string, args: Record<string, unknown>) => {
    const answer = await call(tool, args);
    expect([tool, answer.isError, answer.text]).toEqual([tool, undefined, answer.text]);
    return answer;
  };
  await breakdown(session, name);

  // Which one is down?
  const listed = await done("docker_list_containers", {
    all: true,
    filters: { label: `linkspan.story=${name}`, status: "exited" },
  });
  const [down] = listed.structured.containers as { id: string }[];
  const container_id = String(down?.id);

  // Why? The answer names the tool that helps.
  const diagnosed = await done("docker_diagnose", { container_id });
  expect(diagnosed.structured.findings).toContainEqual({
    severity: "problem",
    what: expect.stringContaining("its limit of 16 MiB"),
    next: expect.stringContaining("docker_update_container"),
  });
  expect(String(diagnosed.structured.name)).toBe(name);

  // In the compact form the arguments are asked for first.
  if (compact) {
    const help = await done("action_help", { actions: ["update_container", "remove_container", "undo"] });
    expect(help.text).toContain('"memory"');
    expect(help.text).toContain("confirmation_token");
  }
  await done("docker_update_container", { container_id, memory: "256m" });
  await done("docker_start_container", { container_id });
  const waited = await done("docker_wait_container", { container_id, condition: "healthy", timeout: 30 });
  expect(waited.text).toContain("is running (healthy) after");
  const healed = await inspectContainer(engine(), name, Deadline.in(10_000));
  expect(healed).toMatchObject({ Id: container_id, State: { Health: { Status: "healthy" } } });
  const { findings } = (await done("docker_diagnose", { container_id })).structured;
  expect(findings).not.toContainEqual(expect.objectContaining({ severity: "problem" }));

  // Away with it: nothing goes before the plan is confirmed.
  const refused = await call("docker_remove_container", { container_id });
  expect([refused.isError, refused.structured.kind]).toEqual([true, "conflict"]);
  const asked = await call("docker_remove_container", { container_id, force: true });
  expect([asked.isError, asked.structured.kind]).toEqual([true, "confirmation-required"]);
  expect(await inspectContainer(engine(), name, Deadline.in(10_000))).toBeDefined();
  const { confirmation_token } = asked.structured;
  // A token from somewhere else does nothing, and the answer says why.
  const wrong = await call("docker_remove_container", { container_id, force: true, confirmation_token: "x" });
  expect(wrong.text).toContain("confirmation_token is not for this");
  const removed = await done("docker_remove_container", { container_id, force: true, confirmation_token });
  expect(await inspectContainer(engine(), name, Deadline.in(10_000))).toBeUndefined();

  // And back, with the limit that was raised.
  const undone = await done("docker_undo", { id: removed.structured.undo });
  expect(undone.structured.restored).toEqual([`container ${name}`]);
  await done("docker_wait_container", { container_id: name, condition: "healthy", timeout: 30 });
  const back = await inspectContainer(engine(), name, Deadline.in(10_000));
  expect(back).toMatchObject({
    Config: { Env: expect.arrayContaining([`PASSWORD=${SECRET}`]), Labels: { "linkspan.story": name } },
    HostConfig: { Memory: 256 * MIB, NetworkMode: "none" },
  });
  expect(JSON.stringify(said)).not.toContain(SECRET);
}

/** What somebody else has left. */
async function breakdown(session: ToolsetClient, name: string): Promise<void> {
  const made = await session.call("docker_run_container", {
    image: await busyboxImage(engine()),
    name,
    entrypoint: ["/bin/busybox"],
    command: ["sh", "-c", JOB],
    environment: { PASSWORD: SECRET },
    labels: { "linkspan.story": name },
    network: "none",
    memory: "16m",
    health_check: { command: ["/bin/busybox", "cat", "/up"], interval: "1s" },
  });
  expect([made.isError, made.text]).toEqual([undefined, made.text]);
  const ended = await session.call("docker_wait_container", { container_id: name, condition: "exited", timeout: 30 });
  expect(ended.structured).toMatchObject({ state: "exited", exit_code: 137 });
}
