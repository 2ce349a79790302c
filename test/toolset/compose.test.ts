/** The compose tools on a real engine: one project's whole life. */
import { afterAll, expect } from "bun:test";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { LABELS } from "../../src/compose/project.ts";
import { inspectContainer, listContainers, removeContainer } from "../../src/docker/containers.ts";
import { listImages, removeImage } from "../../src/docker/images.ts";
import { inspectNetwork, listNetworks, removeNetwork } from "../../src/docker/networks.ts";
import { inspectVolume, listVolumes, removeVolume } from "../../src/docker/volumes.ts";
import { ENGINE, engine, engineTest } from "../support/engine.ts";
import { expectWorked } from "../support/proofs.ts";
import { busyboxImage } from "../support/images.ts";
import { shop } from "../support/shop.ts";
import { type ToolsetClient, toolsetClient } from "../support/toolset-client.ts";
import { until } from "../support/until.ts";

const project = `linkspan-test-compose-${process.pid}`;
const label = { label: [`${LABELS.project}=${project}`] };
const deadline = () => Deadline.in(30_000);
const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
  if (!ENGINE) return;
  for (const { Id } of await listContainers(ENGINE, label, deadline())) await removeContainer(ENGINE, Id, deadline());
  for (const { Id } of await listNetworks(ENGINE, label, deadline())) await removeNetwork(ENGINE, Id, deadline());
  for (const { Name } of await listVolumes(ENGINE, label, deadline())) await removeVolume(ENGINE, Name, deadline());
  for (const { Id } of await listImages(ENGINE, [`linkspan.test.compose=${project}`], deadline()))
    await removeImage(ENGINE, Id, deadline());
});

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "linkspan-test-compose-"));
  folders.push(made);
  return made;
}

async function confirmed(session: ToolsetClient, tool: string, args: Record<string, unknown>) {
  const asked = await session.call(tool, args);
  expect([asked.text, asked.structured.kind]).toEqual([asked.text, "confirmation-required"]);
  return session.call(tool, { ...args, confirmation_token: asked.structured.confirmation_token });
}

/** Fails with what the tool says. */
async function good(session: ToolsetClient, tool: string, args: Record<string, unknown>) {
  const answer = await session.call(tool, args);
  expect([answer.text, answer.isError]).toEqual([answer.text, undefined]);
  return answer;
}

async function ids(): Promise<Record<string, string>> {
  const found = await listContainers(engine(), label, deadline());
  return Object.fromEntries(found.map(({ Id, Names }) => [Names?.[0]?.slice(1 + project.length + 1) ?? "", Id]));
}

engineTest(
  "a project of three services: up, looked at, changed, scaled, down, undone",
  async () => {
    const composeDir = await folder();
    await using session = await toolsetClient({
      env: { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true", SAFETY_COMPOSE_DIRECTORY: composeDir },
    });
    const image = await busyboxImage(engine());
    const env = { DB_PASSWORD: "hunter2" };
    const [file, project_name] = ["shop/compose.yaml", project];
    const written = await session.call("docker_compose_write_file", {
      file,
      content: shop(project, image, "first"),
      env,
    });
    expect(written.structured).toMatchObject({ file, services: ["db", "web", "job"] });
    expect(await readFile(join(composeDir, file), "utf8")).toBe(shop(project, image, "first"));

    const says = (word: string) =>
      until(`web says ${word}`, async () => {
        const { text } = await session.call("docker_compose_logs", { project_name, services: ["web"] });
        return text === `${project}-web-1 | ${word}`;
      });
    const dry = await good(session, "docker_compose_up", { file, env, dry_run: true });
    expect(await ids()).toEqual({});
    const up = await good(session, "docker_compose_up", { file, env });
    expect(up.structured.steps).toEqual(dry.structured.steps);
    expect([dry.text.split("\n")[0], up.text.split("\n")[0]]).toEqual([
      `${project}: nothing was done yet; this would be:`,
      `${project}: done:`,
    ]);
    expect(up.structured.steps).toEqual([
      `build the image ${project}-job`,
      `create the network ${project}_back`,
      `create the network ${project}_default`,
      `create the volume ${project}_data`,
      `create ${project}-db-1`,
      `create ${project}-job-1`,
      "wait for db (healthy) before web",
      `create ${project}-web-1`,
    ]);
    const again = await good(session, "docker_compose_up", { file, env });
    expect(again.structured.steps).toEqual([]);

    const web = await inspectContainer(engine(), `${project}-web-1`, deadline());
    expect(web?.Config.Labels).toMatchObject({
      [LABELS.service]: "web",
      [LABELS.number]: "1",
      [LABELS.oneoff]: "False",
      [LABELS.dependsOn]: "db:service_healthy:false",
      [LABELS.files]: join(composeDir, file),
      [LABELS.folder]: join(composeDir, "shop"),
    });
    expect(web?.HostConfig).toMatchObject({
      Memory: 64 * 1024 ** 2,
      NanoCpus: 5e8,
      PidsLimit: 20,
      NetworkMode: `${project}_back`,
      LogConfig: { Type: "json-file", Config: { "max-size": "1m" } },
      Ulimits: [{ Name: "nofile", Soft: 64, Hard: 128 }],
      SecurityOpt: ["no-new-privileges:true"],
    });
    expect(web?.NetworkSettings.Ports?.["80/tcp"]).toMatchObject([{ HostIp: "127.0.0.1" }]);
    expect(web?.NetworkSettings.Networks).toMatchObject({
      [`${project}_back`]: { Aliases: expect.arrayContaining(["web", "www"]) },
    });
    const network = await inspectNetwork(engine(), `${project}_back`, deadline());
    expect(network).toMatchObject({ Internal: true, Labels: { [LABELS.network]: "back" } });

    const ps = await session.call("docker_compose_ps", { project_name });
    expect(ps.structured).toMatchObject({
      total: 3,
      containers: [{ service: "db", state: "running" }, { service: "job" }, { service: "web" }],
    });
    await says("first");
    const exec = await session.call("docker_compose_exec", {
      project_name,
      service: "web",
      command: ["/bin/busybox", "cat", "/greeting"],
    });
    expect(exec.structured).toMatchObject({ exit_code: 0, stdout: "hello" });
    const config = await session.call("docker_compose_config", { file, env });
    expect(config.structured).toMatchObject({ config: { services: { db: { environment: { PASSWORD: "***" } } } } });

    const before = await ids();
    await good(session, "docker_compose_write_file", {
      file,
      content: shop(project, image, "second"),
      env,
      overwrite: true,
    });
    const changed = await good(session, "docker_compose_up", { file, env });
    expect(changed.structured.steps).toEqual([
      "wait for db (healthy) before web",
      `recreate ${project}-web-1 (its settings have changed)`,
    ]);
    expect(changed.structured.undo).toBeString();
    const after = await ids();
    expect(after).toEqual({ ...before, "web-1": expect.any(String) });
    expect(after["web-1"]).not.toBe(before["web-1"] ?? "");

    const id = changed.structured.undo;
    const recreated = await good(session, "docker_undo", { id });
    const restored = await ids();
    expect(Object.keys(restored).toSorted()).toEqual(Object.keys(after).toSorted());
    expect(restored["web-1"]).not.toBe(after["web-1"] ?? "");
    await says("first");
    const [later] = /undo-\S+/.exec(recreated.text) ?? [];
    await good(session, "docker_undo", { id: later });
    await says("second");
    const settled = await ids();
    const fits = await good(session, "docker_compose_up", { file, env });
    expect(fits.structured.steps).toEqual([]);

    const scaled = await good(session, "docker_compose_scale", { file, env, scale: { web: 2 } });
    expect(scaled.structured.steps).toContain(`create ${project}-web-2`);
    await good(session, "docker_compose_scale", { file, env, scale: { web: 1 } });
    expect(await ids()).toEqual(settled);
    const restarted = await good(session, "docker_compose_restart", { project_name, services: ["web"] });
    expect(restarted.text).toBe(`${project}-web-1 is running`);
    const stopped = await good(session, "docker_compose_stop", { project_name });
    expect(stopped.structured.containers).toMatchObject([
      { state: "exited" },
      { state: "exited" },
      { state: "exited" },
    ]);
    const started = await good(session, "docker_compose_up", { file, env });
    expect(started.structured.steps).toContain(`start ${project}-db-1 (exited)`);
    expect(await ids()).toEqual(settled);

    const down = await confirmed(session, "docker_compose_down", { project_name, volumes: true });
    expect([down.text, down.isError]).toEqual([down.text, undefined]);
    expect(await ids()).toEqual({});
    expect(await inspectVolume(engine(), `${project}_data`, deadline())).toBeUndefined();
    expect(await inspectNetwork(engine(), `${project}_back`, deadline())).toBeUndefined();
    const undone = await good(session, "docker_undo", { id: down.structured.undo });
    expect(Object.keys(await ids()).toSorted()).toEqual(["db-1", "job-1", "web-1"]);
    const back = await good(session, "docker_compose_up", { file, env });
    expect(back.structured.steps).toEqual([]);
    const kept = await session.call("docker_compose_exec", {
      project_name,
      service: "db",
      command: ["/bin/busybox", "ls", "/data"],
    });
    expect(kept.structured.stdout).toBe("ready\n");
    const built = await good(session, "docker_compose_build", { file, env, services: ["job"], no_cache: true });
    expect(built.structured.images).toEqual([`${project}-job`]);
    expect(built.structured.log).toContain("built with ***");
    expect(JSON.stringify([dry, up, built, ps, config, changed, scaled, down, undone, back])).not.toContain("hunter2");
  },
  120_000,
);

engineTest("what is not there, and what is refused before anything is made", async () => {
  const composeDir = await folder();
  const secret = await folder();
  await writeFile(join(secret, "compose.yaml"), "services: { a: { image: x } }");
  await symlink(secret, join(composeDir, "out"));
  await using session = await toolsetClient({ env: { SAFETY_COMPOSE_DIRECTORY: composeDir } });
  const image = await busyboxImage(engine());
  const text = (fields: string) => `name: ${project}-refused\nservices:\n  a:\n    image: ${image}\n    ${fields}\n`;
  const absent = { project_name: `${project}-none` };
  const calls: [string, Record<string, unknown>, string][] = [
    ["docker_compose_up", { file: "none/compose.yaml" }, "not-found"],
    ["docker_compose_up", { file: join(secret, "compose.yaml") }, "forbidden"],
    ["docker_compose_up", { file: join(secret, "absent.yaml") }, "forbidden"],
    ["docker_compose_up", { file: "out/compose.yaml" }, "forbidden"],
    ["docker_compose_up", { file: "../x.yaml" }, "invalid"],
    ["docker_compose_up", {}, "invalid"],
    ["docker_compose_up", { content: text("privileged: true") }, "forbidden"],
    ["docker_compose_up", { content: text("cap_add: [SYS_ADMIN]") }, "forbidden"],
    ["docker_compose_up", { content: text("pid: host") }, "forbidden"],
    ["docker_compose_up", { content: text("volumes: ['/:/host']") }, "forbidden"],
    ["docker_compose_up", { content: text("volumes: ['/var/run/docker.sock:/s']") }, "forbidden"],
    ["docker_compose_up", { content: text("volumes: ['/proc/self/root/etc:/s']") }, "forbidden"],
    ["docker_compose_up", { content: text("volumes: ['./x:/s']") }, "invalid"],
    ["docker_compose_up", { content: text("bogus: 1") }, "invalid"],
    ["docker_compose_up", { content: text("tty: true"), services: ["b"] }, "not-found"],
    ["docker_compose_scale", { content: text("container_name: one"), scale: { a: 2 } }, "invalid"],
    ["docker_compose_build", { file: "none/compose.yaml" }, "not-found"],
    ["docker_compose_config", { content: "services: [" }, "invalid"],
    ["docker_compose_logs", absent, "not-found"],
    ["docker_compose_stop", absent, "not-found"],
    ["docker_compose_restart", absent, "not-found"],
    ["docker_compose_exec", { ...absent, service: "a", command: "true" }, "not-found"],
    ["docker_compose_down", absent, "forbidden"],
    ["docker_compose_write_file", { file: "out/x.yaml", content: text("tty: true") }, "forbidden"],
    ["docker_compose_write_file", { file: "/etc/x.yaml", content: text("tty: true") }, "invalid"],
    ["docker_compose_write_file", { file: "a/x.yaml", content: text("privileged: true") }, "forbidden"],
  ];
  for (const [tool, args, kind] of calls) {
    const { isError, structured, text: said } = await session.call(tool, args);
    expect([tool, args, said, isError, structured.kind]).toEqual([tool, args, said, true, kind]);
  }
  const refused = { label: [`${LABELS.project}=${project}-refused`] };
  expect(await listContainers(engine(), refused, deadline())).toEqual([]);
  expect(await listNetworks(engine(), refused, deadline())).toEqual([]);
  const checked = await session.call("docker_compose_validate", { content: text("privileged: true") });
  expect(checked.structured).toMatchObject({
    valid: false,
    findings: [{ kind: "forbidden", line: 5, column: 5, path: "services.a.privileged" }],
  });
  await using reader = await toolsetClient({ env: { SAFETY_ALLOW_MODERATE_OPERATIONS: "false" } });
  const names = (await reader.client.listTools()).tools
    .map(({ name }) => name)
    .filter((name) => name.includes("compose"));
  expect(names.toSorted()).toEqual(["config", "logs", "ps", "validate"].map((name) => `docker_compose_${name}`));
});

engineTest("the tools that are shown here have worked", async () => expectWorked(import.meta.path));
