/** The tools about containers on a real engine, called by a real client of the built binary. */
import { afterAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { inspectContainer, removeContainer } from "../../src/docker/containers.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { expectWorked } from "../support/proofs.ts";
import { busyboxImage } from "../support/images.ts";
import { toolsetClient } from "../support/toolset-client.ts";

const prefix = `linkspan-test-tools-${process.pid}`;
const made: string[] = [];
afterAll(async () => {
  for (const name of made) if (ENGINE) await removeContainer(ENGINE, name, Deadline.in(20_000));
});

function named(suffix: string): string {
  const name = `${prefix}-${suffix}`;
  made.push(name);
  return name;
}

async function image(): Promise<string> {
  if (!ENGINE) throw new Error("no engine");
  return busyboxImage(ENGINE);
}

const busybox = (...words: string[]) => ({ entrypoint: ["/bin/busybox"], command: words });

engineTest("one container's whole life", async () => {
  await using session = await toolsetClient();
  const container_id = named("life");
  const script = "echo out; echo err >&2; sleep 600";
  const run = await session.call("docker_run_container", {
    image: await image(),
    name: container_id,
    ...busybox("sh", "-c", script.replaceAll("sleep", "/bin/busybox sleep")),
    environment: { SECRET: "hunter2;halt" },
    labels: { "linkspan.test": "life" },
    memory: "64m",
    pids: 20,
    restart_policy: "on-failure",
    health_check: { command: ["/bin/busybox", "true"], interval: "1s" },
    cap_drop: ["ALL"],
    read_only: false,
  });
  expect(run).toMatchObject({ structured: { name: container_id, state: "running" } });

  const listed = await session.call("docker_list_containers", {
    filters: { label: "linkspan.test=life", name: container_id },
  });
  expect(listed.structured).toMatchObject({ total: 1, containers: [{ name: container_id, state: "running" }] });

  const healthy = await session.call("docker_wait_container", { container_id, condition: "healthy", timeout: 20 });
  expect(healthy.structured).toMatchObject({ state: "running" });

  const inspected = await session.call("docker_inspect_container", { container_id });
  expect(inspected.structured).toMatchObject({
    container: { HostConfig: { Memory: 64 * 1024 * 1024, PidsLimit: 20 } },
  });
  expect(JSON.stringify(inspected)).toContain("SECRET=***");
  expect(JSON.stringify(inspected)).not.toContain("hunter2");

  const logs = await session.call("docker_container_logs", { container_id, tail: 10 });
  // The engine reads the two streams side by side and keeps no order between them.
  expect(logs.text.split("\n").toSorted()).toEqual(["err", "out"]);
  expect(logs.structured.lines).toContainEqual(expect.objectContaining({ source: "stderr", text: "err" }));
  const top = await session.call("docker_container_top", { container_id });
  expect(top.text).toContain("sleep 600");
  const stats = await session.call("docker_container_stats", { container_id });
  expect(stats.structured.samples).toMatchObject([{ memory_limit_bytes: 64 * 1024 * 1024 }]);

  const exec = await session.call("docker_exec_command", {
    container_id,
    command: `/bin/busybox sh -c 'echo "$A $SECRET"; echo oops >&2; exit 3'`,
    environment: { A: "halt; rm -rf /" },
    workdir: "/bin",
  });
  expect(exec.structured).toEqual({ exit_code: 3, stdout: "halt; rm -rf / hunter2;halt\n", stderr: "oops\n" });

  const put = await session.call("docker_copy_to_container", {
    container_id,
    path: "/",
    files: [{ path: "note.txt", content: "grüße\n", mode: "600" }],
  });
  expect(put.isError).toBeUndefined();
  const read = await session.call("docker_copy_from_container", { container_id, path: "/note.txt" });
  expect(read.structured).toMatchObject({ content: "grüße\n", mode: "600", type: "file" });
  const folder = await session.call("docker_copy_from_container", { container_id, path: "/bin" });
  expect(folder.structured.entries).toContainEqual(expect.objectContaining({ path: "bin/busybox" }));
  const diff = await session.call("docker_container_diff", { container_id });
  expect(diff.structured.changes).toContainEqual({ path: "/note.txt", kind: "added" });

  const updated = await session.call("docker_update_container", { container_id, memory: "96m", restart_policy: "no" });
  expect(updated.isError).toBeUndefined();
  const renamed = named("renamed");
  for (const [tool, args, state] of [
    ["docker_pause_container", {}, "paused"],
    ["docker_unpause_container", {}, "running"],
    ["docker_restart_container", { timeout: 0 }, "running"],
    ["docker_stop_container", { timeout: 0 }, "exited"],
    ["docker_start_container", {}, "running"],
    ["docker_rename_container", { new_name: renamed }, "running"],
  ] as const) {
    const result = await session.call(tool, { container_id, ...args });
    expect([tool, result.structured.state]).toEqual([tool, state]);
  }
  if (!ENGINE) throw new Error("no engine");
  const info = await inspectContainer(ENGINE, renamed, Deadline.in(10_000));
  expect(info?.HostConfig).toMatchObject({ Memory: 96 * 1024 * 1024, RestartPolicy: { Name: "no" } });
});

engineTest("ports are on loopback; create does not start; a start that fails leaves nothing", async () => {
  await using session = await toolsetClient();
  const name = named("ports");
  const created = await session.call("docker_create_container", {
    image: await image(),
    name,
    ...busybox("sleep", "600"),
    ports: { "80/tcp": null },
  });
  expect(created.structured).toMatchObject({ state: "created" });
  const started = await session.call("docker_start_container", { container_id: name });
  expect(started.structured.state).toBe("running");
  const { structured } = await session.call("docker_list_containers", { filters: { name } });
  expect(structured.containers).toMatchObject([{ ports: [expect.stringMatching(/^127\.0\.0\.1:\d+->80\/tcp$/)] }]);

  const broken = named("broken");
  const failed = await session.call("docker_run_container", {
    image: await image(),
    name: broken,
    entrypoint: ["/nowhere"],
  });
  expect(failed.isError).toBe(true);
  expect((await session.call("docker_inspect_container", { container_id: broken })).structured.kind).toBe("not-found");
});

engineTest("what does not run is said with what to do next", async () => {
  await using session = await toolsetClient();
  const container_id = named("idle");
  const spec = { image: await image(), name: container_id, ...busybox("true"), network: "none" };
  expect((await session.call("docker_create_container", spec)).isError).toBeUndefined();
  for (const [tool, args] of [
    ["docker_container_stats", {}],
    ["docker_container_top", {}],
    ["docker_exec_command", { command: "true" }],
  ] as const) {
    const { isError, text } = await session.call(tool, { container_id, ...args });
    expect([tool, isError, text]).toEqual([tool, true, expect.stringContaining("docker_start_container starts it.")]);
  }
  const taken = await session.call("docker_create_container", spec);
  expect(taken.text).toContain("docker_rename_container");
});

engineTest("what does not exist is said with what to do next", async () => {
  await using session = await toolsetClient();
  const container_id = `${prefix}-nothing`;
  const plain = { container_id };
  const calls: [string, Record<string, unknown>][] = [
    ["docker_inspect_container", plain],
    ["docker_container_logs", plain],
    ["docker_container_stats", plain],
    ["docker_container_top", plain],
    ["docker_container_diff", plain],
    ["docker_wait_container", plain],
    ["docker_start_container", plain],
    ["docker_stop_container", plain],
    ["docker_restart_container", plain],
    ["docker_pause_container", plain],
    ["docker_unpause_container", plain],
    ["docker_rename_container", { ...plain, new_name: "x1" }],
    ["docker_update_container", { ...plain, cpus: 1 }],
    ["docker_exec_command", { ...plain, command: "true" }],
    ["docker_copy_to_container", { ...plain, path: "/", files: [{ path: "a", content: "" }] }],
    ["docker_copy_from_container", { ...plain, path: "/" }],
  ];
  for (const [tool, args] of calls) {
    const { isError, structured } = await session.call(tool, args);
    expect([tool, isError, structured.kind, structured.hint]).toEqual([
      tool,
      true,
      "not-found",
      expect.stringContaining("docker_list_containers"),
    ]);
  }
  const absent = await session.call("docker_run_container", { image: `${prefix}:none` });
  expect(absent).toMatchObject({ isError: true, structured: { kind: "not-found" } });
});

test("only reading is listed and done where only reading is allowed", async () => {
  await using session = await toolsetClient({ env: { SAFETY_ALLOW_MODERATE_OPERATIONS: "false" } });
  const { tools } = await session.client.listTools();
  expect(tools.every(({ annotations }) => annotations?.readOnlyHint)).toBe(true);
  for (const name of ["docker_run_container", "docker_exec_command", "docker_kill_container"]) {
    expect((await session.call(name, { container_id: "a" })).structured.kind).toBe("forbidden");
  }
});

engineTest("refused before anything reaches the engine", async () => {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-mounts-"));
  await mkdir(join(folder, "etcetera"));
  await symlink("/var/run", join(folder, "link"));
  await using session = await toolsetClient();
  const ref = await image();
  const wrong: Record<string, unknown>[] = [
    { volumes: ["/:/host"] },
    { volumes: ["/var:/host"] },
    { volumes: ["/var/run/docker.sock:/sock"] },
    { volumes: { "/run/docker.sock": { bind: "/sock", mode: "rw" } } },
    { volumes: [`${folder}/../../etc:/host`] },
    { volumes: [`${folder}/link:/host`] },
    { volumes: ["relative/path:/host"] },
    { privileged: true },
    { network: "host" },
    { network: "container:x" },
    { cap_add: ["SYS_ADMIN"] },
    { devices: ["/dev/sda"] },
    { pid_mode: "host" },
    { security_opt: ["seccomp=unconfined"] },
    { name: "-x" },
    { name: "a/b" },
    { image: "--privileged" },
    { environment: { "A=B": "c" } },
    { ports: ["999999:80"] },
    { ports: ["8080:80; true"] },
  ];
  for (const args of wrong) {
    const { isError, structured } = await session.call("docker_create_container", { image: ref, ...args });
    expect([args, isError, structured.kind]).toEqual([args, true, expect.stringMatching(/^(invalid|forbidden)$/)]);
  }
  const name = named("bind");
  const fine = await session.call("docker_create_container", {
    image: ref,
    name,
    volumes: [`${folder}/etcetera:/data`],
  });
  expect(fine.isError).toBeUndefined();
  if (!ENGINE) throw new Error("no engine");
  const info = await inspectContainer(ENGINE, name, Deadline.in(10_000));
  expect(info?.HostConfig).toMatchObject({
    Mounts: [{ Type: "bind", Source: join(folder, "etcetera"), ReadOnly: true }],
  });
  await rm(folder, { recursive: true });
});

engineTest("the tools that are shown here have worked", async () => expectWorked(import.meta.path));
