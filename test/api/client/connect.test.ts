/** Finding a manager, and starting one: by many at once, and when it cannot start. */
import { expect, test } from "bun:test";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { connectManager, remoteManager } from "../../../src/api/client/connect.ts";
import { Deadline } from "../../../src/base/deadline.ts";
import { cleanEnv, linkspan, tempDir } from "../../support/cli.ts";
import { rejection } from "../../support/rejection.ts";
import { until } from "../../support/until.ts";

/** Managers of this data directory that run now, seen in /proc; elsewhere than on Linux nobody can be counted. */
async function managersOf(dir: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
    const [command, environment] = await Promise.all([read("cmdline"), read("environ")]);
    if (!environment.split("\0").includes(`LINKSPAN_DATA_DIR=${dir}`)) continue;
    if (command.split("\0").includes("serve")) found.push(Number(pid));
  }
  return found;
}

/** A data directory whose managers end with it. */
async function dataDir(name: string) {
  const dir = await tempDir(name);
  return {
    path: dir.path,
    env: { LINKSPAN_DATA_DIR: dir.path, XDG_CONFIG_HOME: join(dir.path, "config") },
    async [Symbol.asyncDispose]() {
      for (const pid of await managersOf(dir.path)) process.kill(pid, "SIGTERM");
      await until("the end of the manager", async () => (await managersOf(dir.path)).length === 0);
      await dir[Symbol.asyncDispose]();
    },
  };
}

test("twenty at once start one manager between them", async () => {
  await using dir = await dataDir("twenty");
  const runs = await Promise.all(Array.from({ length: 20 }, () => linkspan(["ps", "--json"], { env: dir.env })));
  expect(runs.map(({ code, err }) => `${code} ${err}`)).toEqual(runs.map(() => "0 "));
  // One that came too late to be the manager may still be about to end.
  await until("one manager", async () => (await managersOf(dir.path)).length === 1);
}, 60_000);

test("a socket that a killed manager left behind is no manager, and in nobody's way", async () => {
  await using dir = await dataDir("killed");
  expect((await linkspan(["ps"], { env: dir.env })).code).toBe(0);
  const [pid = 0] = await managersOf(dir.path);
  process.kill(pid, "SIGKILL");
  await until("the end of the manager", async () => (await managersOf(dir.path)).length === 0);
  expect(await readdir(dir.path)).toContain("manager.sock");
  expect(await rejection(connectManager({ env: dir.env, start: false }))).toMatchObject({ kind: "unreachable" });
  expect((await linkspan(["ps"], { env: dir.env })).code).toBe(0);
  expect(await managersOf(dir.path)).toHaveLength(1);
});

test("a manager that cannot start is quoted", async () => {
  await using dir = await dataDir("broken");
  await mkdir(join(dir.env.XDG_CONFIG_HOME, "linkspan"), { recursive: true });
  await Bun.write(join(dir.env.XDG_CONFIG_HOME, "linkspan", "linkspan.yaml"), "servers:\n  files:\n    imge: a\n");
  const ran = await linkspan(["ps"], { env: dir.env });
  expect(ran.code).toBe(4);
  expect(ran.err).toContain("imge");
  expect(ran.err).toContain("linkspan.yaml:3:5");
});

test("a manager that accepts and says nothing is not taken for none", async () => {
  await using dir = await tempDir("mute");
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(join(dir.path, "manager.sock"), resolve));
  const connecting = connectManager({ env: { LINKSPAN_DATA_DIR: dir.path }, deadline: Deadline.in(500) });
  expect(await rejection(connecting)).toMatchObject({
    kind: "unreachable",
    message: expect.stringContaining("does not answer"),
  });
  server.close();
});

test("a data directory that cannot be made is named, with the way out", async () => {
  const ran = await linkspan(["ps"], { env: { LINKSPAN_DATA_DIR: "/proc/nobody/linkspan" } });
  expect(ran.code).not.toBe(0);
  expect(ran.err).toContain("/proc/nobody/linkspan");
});

test("LINKSPAN_URL names another manager, and needs a token", () => {
  const token = "hunter2-hunter2";
  expect(remoteManager({})).toBeUndefined();
  expect(remoteManager({ LINKSPAN_URL: "http://10.0.0.5:8080/", LINKSPAN_TOKEN: token })).toEqual({
    kind: "http",
    url: "http://10.0.0.5:8080",
    token,
  });
  expect(remoteManager({ LINKSPAN_URL: "unix:///run/m.sock" })).toEqual({ kind: "unix", path: "/run/m.sock" });
  expect(() => remoteManager({ LINKSPAN_URL: "http://10.0.0.5:8080" })).toThrow("LINKSPAN_TOKEN");
  for (const wrong of ["nonsense", "ftp://a", `http://me:${token}@host`]) {
    expect(() => remoteManager({ LINKSPAN_URL: wrong, LINKSPAN_TOKEN: token })).toThrow("not an address");
    expect(() => remoteManager({ LINKSPAN_URL: wrong, LINKSPAN_TOKEN: token })).not.toThrow(token);
  }
});

test("nothing listens at LINKSPAN_URL: unreachable, with the address and without the token", async () => {
  const env = { LINKSPAN_URL: "http://127.0.0.1:1", LINKSPAN_TOKEN: "hunter2-hunter2" };
  const ran = await linkspan(["ps"], { env });
  expect(ran.code).toBe(4);
  expect(ran.err).toContain("http://127.0.0.1:1");
  expect(ran.err).not.toContain("hunter2");
});

test("a proxy of the environment is not sent the token", async () => {
  const asked: string[] = [];
  const proxy = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => {
      asked.push(request.url);
      return new Response("", { status: 502 });
    },
  });
  const env = cleanEnv({
    http_proxy: proxy.url.href,
    HTTP_PROXY: proxy.url.href,
    LINKSPAN_URL: "http://127.0.0.1:1",
    LINKSPAN_TOKEN: "t",
  });
  expect((await linkspan(["ps"], { env })).code).toBe(4);
  expect(asked).toEqual([]);
  await proxy.stop(true);
});

test("the client loads nothing heavy: a front waits for it", async () => {
  const child = Bun.spawn(
    [process.execPath, "build", "--target=bun", join(import.meta.dir, "../../../src/api/client/connect.ts")],
    {
      stdout: "pipe",
    },
  );
  const bundle = await child.stdout.text();
  expect(await child.exited).toBe(0);
  for (const heavy of ["hono", "dockerode", "@modelcontextprotocol", "pino"])
    expect(bundle).not.toContain(`node_modules/${heavy}`);
});
