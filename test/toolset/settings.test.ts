/** What the environment decides, at the door: folders, numbers, times. */
import { afterAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { Deadline } from "../../src/base/deadline.ts";
import { removeContainer } from "../../src/docker/containers.ts";
import { removeImage } from "../../src/docker/images.ts";
import { removeVolume } from "../../src/docker/volumes.ts";
import { output } from "../../src/toolset/output.ts";
import { readSettings } from "../../src/toolset/settings.ts";
import { tool } from "../../src/toolset/tool.ts";
import { Toolset } from "../../src/toolset/toolset.ts";
import { ENGINE, engine, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { toolsetClient } from "../support/toolset-client.ts";

const name = `linkspan-test-settings-${process.pid}`;
const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
  if (!ENGINE) return;
  await removeContainer(ENGINE, name, Deadline.in(20_000));
  await removeImage(ENGINE, `${name}:1`, Deadline.in(20_000));
  await removeVolume(ENGINE, name, Deadline.in(20_000));
});

async function fresh(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "linkspan-test-settings-")));
  folders.push(folder);
  return folder;
}

engineTest("SAFETY_VOLUME_MOUNT_BLOCKLIST: no mount, context or file of what it names, by whatever path", async () => {
  const root = await fresh();
  for (const one of ["open/deep/secret", "open/fine", "gate"]) await mkdir(join(root, one), { recursive: true });
  await writeFile(join(root, "open/deep/secret/Dockerfile"), "FROM scratch\nCOPY . /\n");
  await writeFile(join(root, "open/deep/Dockerfile"), "FROM scratch\nCOPY secret /\n");
  await writeFile(join(root, "open/deep/secret/compose.yaml"), "services: {}\n");
  await writeFile(join(root, "open/deep/compose.yaml"), "name: fine\nservices: { a: { image: x } }\n");
  await symlink(join(root, "open/deep/secret"), join(root, "gate/way"));
  const env = {
    SAFETY_VOLUME_MOUNT_ALLOWLIST: root,
    // By a link: what counts is where it leads.
    SAFETY_VOLUME_MOUNT_BLOCKLIST: join(root, "gate/way"),
  };
  await using session = await toolsetClient({ env });
  const image = await busyboxImage(engine());
  for (const path of ["open/deep/secret", "gate/way", "open/deep", "open"]) {
    const full = join(root, path);
    const mounted = await session.call("docker_create_container", { image, name, volumes: [`${full}:/x`] });
    expect([path, mounted.structured.kind, mounted.text]).toEqual([
      path,
      "forbidden",
      expect.stringContaining("blocklist"),
    ]);
    const built = await session.call("docker_build_image", { path: full });
    expect([path, built.structured.kind, built.text]).toEqual([
      path,
      "forbidden",
      expect.stringContaining("blocklist"),
    ]);
  }
  for (const file of [join(root, "open/deep/secret/compose.yaml"), join(root, "gate/way/compose.yaml")])
    expect((await session.call("docker_compose_config", { file })).structured.kind).toBe("forbidden");
  for (const file of [join(root, "open/deep/secret/x.tar"), join(root, "gate/way/x.tar")])
    expect((await session.call("docker_save_image", { image, file })).structured.kind).toBe("forbidden");
  // What lies beside it is free.
  const beside = await session.call("docker_compose_config", { file: join(root, "open/deep/compose.yaml") });
  expect([beside.text, beside.isError]).toEqual([beside.text, undefined]);
  const fine = { image, name, network: "none", volumes: [`${join(root, "open/fine")}:/x`] };
  expect((await session.call("docker_create_container", fine)).isError).toBeUndefined();
});

test("SAFETY_MAX_CONCURRENT_OPERATIONS: so many at a time, the others in turn", async () => {
  let now = 0;
  let most = 0;
  const slow = tool({
    name: "docker_slow",
    category: "system",
    title: "t",
    description: "d",
    level: "safe",
    time: "quick",
    input: v.strictObject({}),
    output: output({}),
    example: {},
    async handle() {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 5));
      now -= 1;
      return {};
    },
    text: () => "done",
  });
  const settings = { ...readSettings({ SAFETY_MAX_CONCURRENT_OPERATIONS: "3" }), dataDir: await fresh() };
  const set = new Toolset([slow], settings, {});
  const caller = { who: "test 1", signal: new AbortController().signal, report: () => {} };
  const answers = await Promise.all(Array.from({ length: 20 }, () => set.call("docker_slow", {}, caller)));
  expect(answers.every(({ kind }) => kind === "done")).toBe(true);
  expect(most).toBe(3);
});

test("DOCKER_TIMEOUT: an engine that is silent is given up", async () => {
  const path = join(await fresh(), "engine.sock");
  const silent = createServer(() => {}).listen(path);
  try {
    await using session = await toolsetClient({
      env: { DOCKER_BASE_URL: `unix://${path}`, DOCKER_HOST: "", DOCKER_TIMEOUT: "1" },
    });
    const { structured, text } = await session.call("docker_version");
    expect([structured.kind, text]).toEqual(["timeout", expect.stringContaining("within 1000 ms")]);
  } finally {
    silent.close();
  }
});

test("MCP_CREATE_DATA_DIR is another name of LINKSPAN_DATA_DIR, which comes first", () => {
  expect(readSettings({ MCP_CREATE_DATA_DIR: "/srv/a" }).dataDir).toBe("/srv/a");
  expect(readSettings({ MCP_CREATE_DATA_DIR: "/srv/a", LINKSPAN_DATA_DIR: "/srv/b" }).dataDir).toBe("/srv/b");
});

engineTest("lists come in pages", async () => {
  await using session = await toolsetClient();
  await busyboxImage(engine());
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const { structured, text } = await session.call("docker_list_networks", {
      limit: 1,
      filters: { type: "builtin" },
      ...(cursor ? { cursor } : {}),
    });
    const { networks, next_cursor } = structured as { networks: { id: string }[]; next_cursor?: string };
    expect(networks.length).toBeLessThanOrEqual(1);
    if (next_cursor) expect(text).toContain(`There are more: cursor "${next_cursor}".`);
    seen.push(...networks.map(({ id }) => id));
    cursor = next_cursor;
  } while (cursor);
  // The engine's own: bridge, host, none.
  expect([seen.length, new Set(seen).size]).toEqual([3, 3]);
  expect((await session.call("docker_list_networks", { cursor: "7" })).structured.kind).toBe("invalid");
});

engineTest("build, save, load and backup tell how far they are", async () => {
  await using session = await toolsetClient();
  const told = async (called: string, args: Record<string, unknown>) => {
    const steps: number[] = [];
    const answer = await session.client.callTool(
      { name: called, arguments: args },
      { onprogress: ({ progress }) => steps.push(progress) },
    );
    expect([called, answer.isError, answer.content]).toEqual([called, undefined, answer.content]);
    // Each step is further than the one before (2025-11-25, progress).
    expect([called, steps.length > 0, steps]).toEqual([called, true, steps.toSorted((left, right) => left - right)]);
  };
  const files = { Dockerfile: "FROM scratch\nCOPY a /\n", a: crypto.randomUUID() };
  await told("docker_build_image", { tag: `${name}:1`, files });
  await told("docker_save_image", { image: `${name}:1`, file: "a.tar" });
  await told("docker_load_image", { file: "a.tar" });
  await session.call("docker_create_volume", { name });
  await told("docker_backup_volume", { volume_name: name, file: "v.tar.gz" });
});
