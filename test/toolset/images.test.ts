/** The tools about images on a real engine. */
import { afterAll, expect } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { removeImage } from "../../src/docker/images.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { expectWorked } from "../support/proofs.ts";
import { startImageRegistry } from "../support/image-registry.ts";
import { toolsetClient } from "../support/toolset-client.ts";

const repo = `linkspan-test-tools-${process.pid}`;
const made = new Set<string>();
afterAll(async () => {
  for (const ref of made) if (ENGINE) await removeImage(ENGINE, ref, Deadline.in(20_000));
});

function named(ref: string): string {
  made.add(ref);
  return ref;
}

const DOCKERFILE = "FROM scratch\nARG TOKEN\nENV PASSWORD=hunter2 USER_NAME=me\nCOPY hello /\n";

engineTest("build from text, look, tag, save, load", async () => {
  await using session = await toolsetClient();
  const tag = named(`${repo}:built`);
  const built = await session.call("docker_build_image", {
    tag,
    files: { Dockerfile: DOCKERFILE, hello: crypto.randomUUID() },
    buildargs: { TOKEN: "hunter2" },
  });
  expect(built.isError).toBeUndefined();
  expect(built.structured.tags).toEqual([tag]);
  const { structured: list } = await session.call("docker_list_images", { filters: { reference: repo } });
  expect(list).toMatchObject({ total: 1, images: [{ tags: [tag] }] });
  const inspected = await session.call("docker_inspect_image", { image_name: tag });
  expect(JSON.stringify(inspected)).toContain("PASSWORD=***");
  const history = await session.call("docker_image_history", { image: tag });
  expect(history.text).toContain("COPY");
  expect(JSON.stringify([inspected, history])).not.toContain("hunter2");

  const other = named(`${repo}:other`);
  const tagged = await session.call("docker_tag_image", { image: tag, repository: repo, tag: "other" });
  expect(tagged.structured.tags).toContain(other);

  const saved = await session.call("docker_save_image", { image: tag, file: "hello.tar.gz" });
  expect(saved.structured.file).toBe(join(session.dataDir, "archives", "hello.tar.gz"));
  const again = await session.call("docker_save_image", { image: tag, file: "hello.tar.gz" });
  expect(again).toMatchObject({ isError: true, structured: { kind: "conflict" } });
  if (!ENGINE) throw new Error("no engine");
  for (const ref of [tag, other]) await removeImage(ENGINE, ref, Deadline.in(20_000));
  const loaded = await session.call("docker_load_image", { file: "hello.tar.gz" });
  expect(loaded.structured.loaded).toEqual([tag]);
});

engineTest("a folder as context: .dockerignore, errors with the last step, folders that are not allowed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-build-"));
  await mkdir(join(folder, "sub"));
  for (const name of ["kept", "left", "sub/deep"]) await writeFile(join(folder, name), name);
  await writeFile(join(folder, ".dockerignore"), "left\n");
  await writeFile(join(folder, "Dockerfile"), "FROM scratch\nCOPY . /\n");
  await writeFile(join(folder, "Broken"), "FROM scratch\nCOPY left /\n");
  await using session = await toolsetClient({ env: { SAFETY_VOLUME_MOUNT_ALLOWLIST: folder } });
  const tag = named(`${repo}:folder`);
  const built = await session.call("docker_build_image", { path: folder, tag });
  expect(built.isError).toBeUndefined();
  const broken = await session.call("docker_build_image", { path: folder, dockerfile: "Broken" });
  expect(broken.isError).toBe(true);
  expect(broken.text).toContain("COPY left");
  for (const path of ["/etc", "/", `${folder}/../../etc`, tmpdir()]) {
    const refused = await session.call("docker_build_image", { path });
    expect([path, refused.structured.kind]).toEqual([path, "forbidden"]);
  }
  await rm(folder, { recursive: true });
});

engineTest("push to a registry: it is there for a pull", async () => {
  await using registry = await startImageRegistry({});
  await using session = await toolsetClient();
  const ref = named(`${registry.host}/pushed:1`);
  const built = await session.call("docker_build_image", {
    tag: ref,
    files: { Dockerfile: "FROM scratch\nCOPY a /\n", a: crypto.randomUUID() },
  });
  const pushed = await session.call("docker_push_image", { image: ref });
  expect([pushed.text, pushed.isError]).toEqual([`${ref} is in its registry`, undefined]);
  if (!ENGINE) throw new Error("no engine");
  await removeImage(ENGINE, ref, Deadline.in(20_000));
  const pulled = await session.call("docker_pull_image", { image: ref });
  expect([pulled.text, pulled.structured.id]).toEqual([pulled.text, built.structured.id]);
});

engineTest("pull from a registry with progress; what is absent is said", async () => {
  await using registry = await startImageRegistry({
    "tools/hello": [{ kind: "bytes", name: "hello", bytes: Buffer.alloc(300_000, "x") }],
  });
  await using session = await toolsetClient();
  const ref = named(`${registry.host}/tools/hello:latest`);
  const steps: string[] = [];
  const { structuredContent } = await session.client.callTool(
    { name: "docker_pull_image", arguments: { image: `${registry.host}/tools/hello` } },
    { onprogress: ({ message }) => steps.push(message ?? "") },
  );
  expect(structuredContent).toMatchObject({ image: ref });
  expect(steps.length).toBeGreaterThan(1);
  const absent = await session.call("docker_pull_image", { image: `${registry.host}/tools/none` });
  expect(absent).toMatchObject({ isError: true });
  for (const [tool, args] of [
    ["docker_inspect_image", { image_name: `${repo}:none` }],
    ["docker_image_history", { image: `${repo}:none` }],
    ["docker_tag_image", { image: `${repo}:none`, repository: "x" }],
    ["docker_push_image", { image: `${repo}:none` }],
    ["docker_save_image", { image: `${repo}:none`, file: "x.tar" }],
    ["docker_load_image", { file: "nothing.tar" }],
  ] as const) {
    const { structured } = await session.call(tool, args);
    expect([tool, structured.kind]).toEqual([tool, "not-found"]);
  }
  for (const image of ["--all", "a b", "$(id)", ""]) {
    const { structured } = await session.call("docker_pull_image", { image });
    expect([image, structured.kind]).toEqual([image, "invalid"]);
  }
});

engineTest("the tools that are shown here have worked", async () => expectWorked(import.meta.path));
