/** docker_login_registry with a registry that asks for a password, on a real engine. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { removeImage } from "../../src/docker/images.ts";
import { ENGINE, engine, engineTest } from "../support/engine.ts";
import { expectWorked } from "../support/proofs.ts";
import { type ImageRegistry, startImageRegistry } from "../support/image-registry.ts";
import { toolsetClient } from "../support/toolset-client.ts";

const NAME = `linkspan-test-login-${process.pid}`;
const PASSWORD = "correct:horse@battery";
const username = "ci";
let registry: ImageRegistry;
let image: string;
let dataDir: string;
let env: Record<string, string>;

beforeAll(async () => {
  const file = { kind: "bytes", name: "file", bytes: Buffer.from(NAME) } as const;
  registry = await startImageRegistry({ [NAME]: [file] }, { login: `${username}:${PASSWORD}` });
  image = `${registry.host}/${NAME}:latest`;
  dataDir = await mkdtemp(join(tmpdir(), "linkspan-test-login-"));
  // Without what docker login may have left on this machine.
  env = { DOCKER_CONFIG: dataDir, LINKSPAN_REGISTRY_WORK: `${username}:${PASSWORD}@${registry.host}` };
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
  if (ENGINE) await removeImage(ENGINE, image, Deadline.in(30_000));
});

engineTest("a login is checked, used by pulls of this process, and kept nowhere", async () => {
  const said: unknown[] = [];
  {
    await using session = await toolsetClient({ env, dataDir });
    const call = async (tool: string, args: Record<string, unknown>) => {
      const answer = await session.call(tool, args);
      said.push(answer);
      return answer.structured;
    };
    expect(await call("docker_pull_image", { image })).toMatchObject({ kind: "unauthenticated" });
    const wrong = { registry: registry.host, username, password: "wrong horse" };
    expect(await call("docker_login_registry", wrong)).toMatchObject({ kind: "unauthenticated" });
    expect(await call("docker_pull_image", { image })).toMatchObject({ kind: "unauthenticated" });
    const right = { registry: registry.host, username, password: PASSWORD };
    expect(await call("docker_login_registry", right)).toEqual({ registry: registry.host, username });
    expect(await call("docker_pull_image", { image })).toMatchObject({ image });
    await removeImage(engine(), image, Deadline.in(30_000));
  }
  {
    await using session = await toolsetClient({ env, dataDir });
    const forgotten = await session.call("docker_pull_image", { image });
    expect(forgotten.structured.kind).toBe("unauthenticated");
    const configured = await session.call("docker_login_registry", { login: "work" });
    expect(configured.structured).toEqual({ registry: registry.host, username });
    const pulled = await session.call("docker_pull_image", { image });
    expect(pulled.structured).toMatchObject({ image });
    said.push(forgotten, configured, pulled);
  }
  const files = await readdir(dataDir, { recursive: true, withFileTypes: true });
  const written = await Promise.all(
    files.filter((one) => one.isFile()).map((one) => readFile(join(one.parentPath, one.name), "utf8")),
  );
  expect(written.join("")).toContain("docker_login_registry");
  for (const secret of [PASSWORD, "wrong horse"])
    expect([JSON.stringify(said).includes(secret), written.join("").includes(secret)]).toEqual([false, false]);
});

engineTest("a search: in the registry that the term names, with what it says of its images", async () => {
  const found = { name: "web", description: "a server", star_count: 3, is_official: false };
  await using hub = searchable([found]);
  await using session = await toolsetClient();
  const { structured, text } = await session.call("docker_search_images", { term: `${hub.host}/web`, limit: 5 });
  expect([text, structured.images]).toEqual([
    "web (3 stars): a server",
    [{ name: "web", description: "a server", stars: 3, official: false }],
  ]);
});

/** The first version of the registry's API, which is the one that has a search. */
function searchable(results: Record<string, unknown>[]): { host: string } & AsyncDisposable {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) =>
      Response.json(
        new URL(request.url).pathname === "/v1/search" ? { num_results: 1, results } : { standalone: true },
      ),
  });
  return { host: `127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) };
}

engineTest("what is refused", async () => {
  await using session = await toolsetClient({ env: { ...env, LINKSPAN_REGISTRY_ODD: "no registry in it" } });
  const rows: [Record<string, unknown>, string][] = [
    [{}, "invalid"],
    [{ username }, "invalid"],
    // A login that is configured goes to its own registry and to no other.
    [{ login: "work", registry: "registry.example.com" }, "invalid"],
    [{ login: "../work" }, "invalid"],
    [{ login: "odd" }, "invalid"],
    [{ login: "absent" }, "not-found"],
    [{ registry: "https://registry.example.com/v2", username, password: "x" }, "invalid"],
    [{ registry: "user@registry.example.com", username, password: "x" }, "invalid"],
    [{ registry: registry.host, username, password: 12_345_678 }, "invalid"],
    [{ registry: registry.host, username, password: "x", email: "x" }, "invalid"],
  ];
  for (const [args, kind] of rows) {
    const { structured, text } = await session.call("docker_login_registry", args);
    expect([args, structured.kind]).toEqual([args, kind]);
    expect(text).not.toContain("12345678");
  }
  await using reading = await toolsetClient({ env: { ...env, SAFETY_ALLOW_MODERATE_OPERATIONS: "false" } });
  const refused = await reading.call("docker_login_registry", { login: "work" });
  expect(refused.structured.kind).toBe("forbidden");
});

engineTest("the tools that are shown here have worked", async () => expectWorked(import.meta.path));
