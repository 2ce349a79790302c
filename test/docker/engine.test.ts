import { describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createSocketServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import {
  createContainer,
  inspectContainer,
  listContainers,
  readPath,
  removeContainer,
  startContainer,
} from "../../src/docker/containers.ts";
import { API_MAX, API_MIN, compareVersions, Engine } from "../../src/docker/engine.ts";
import { engine, engineTest } from "../support/engine.ts";
import { scratchImage } from "../support/images.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";
import { rejection } from "../support/rejection.ts";

const soon = (ms = 20_000) => Deadline.in(ms);
const at = (path: string) => Engine.connect({ kind: "socket", path }, soon(2_000));

/** Runs the body with a path for a socket, in a folder that is removed. */
async function withSocketPath(body: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-socket-"));
  try {
    await body(join(folder, "engine.sock"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("an engine that is not one", () => {
  test("none there: unreachable, with what to do", async () => {
    expect(await rejection(at("/nowhere/docker.sock"))).toMatchObject({
      kind: "unreachable",
      message: "no container engine answers at /nowhere/docker.sock",
      hint: expect.stringContaining("DOCKER_HOST"),
    });
  });

  test("a socket that nobody listens on: unreachable", async () => {
    await withSocketPath(async (path) => {
      await Bun.write(path, "");
      expect(await rejection(at(path))).toMatchObject({
        kind: "unreachable",
        hint: expect.stringContaining("start Docker"),
      });
    });
  });

  test("one that takes connections and is silent: the deadline ends it", async () => {
    await withSocketPath(async (path) => {
      const taken: Socket[] = [];
      const server = createSocketServer((socket) => void taken.push(socket)).listen(path);
      const connecting = Engine.connect({ kind: "socket", path }, soon(300));
      expect(await rejection(connecting)).toMatchObject({
        kind: "timeout",
        message: expect.stringContaining("asking the engine"),
      });
      for (const socket of taken) socket.destroy();
      server.close();
    });
  });

  test("one that stops in the middle of its answer: the deadline ends it", async () => {
    await withSocketPath(async (path) => {
      const server = createServer((_, response) => {
        response.writeHead(200, { "content-length": "1000" });
        response.write('{"Version":');
      }).listen(path);
      expect(await rejection(Engine.connect({ kind: "socket", path }, soon(300)))).toMatchObject({ kind: "timeout" });
      server.closeAllConnections();
      server.close();
    });
  });

  const versions: [name: string, answer: object, kind: string, hint: string | undefined][] = [
    ["too old", { Version: "17.05.0-ce", ApiVersion: "1.29", MinAPIVersion: "1.12" }, "unsupported", "19.03"],
    ["too new", { Version: "99.0.0", ApiVersion: "2.10", MinAPIVersion: "2.0" }, "unsupported", "update Linkspan"],
    ["no engine at all", { hello: "world" }, "engine-failed", undefined],
  ];
  for (const [name, answer, kind, hint] of versions) {
    test(`${name}: one clear message`, async () => {
      await withSocketPath(async (path) => {
        const server = createServer((_, response) => response.end(JSON.stringify(answer))).listen(path);
        const thrown = await at(path).catch((error: unknown) => error);
        expect(thrown).toBeInstanceOf(Fault);
        expect(thrown).toMatchObject({ kind, ...(hint ? { hint: expect.stringContaining(hint) } : {}) });
        server.closeAllConnections();
        server.close();
      });
    });
  }

  test("one that may not be used: forbidden, with what to do", async () => {
    await withSocketPath(async (path) => {
      const server = createServer().listen(path);
      await chmod(path, 0o600);
      const script = `
        const { checkEndpoint } = await import(${JSON.stringify(join(import.meta.dir, "../../src/docker/endpoint.ts"))});
        const { gid, uid } = { gid: 65534, uid: 65534 };
        process.setgroups([]); process.setgid(gid); process.setuid(uid);
        try { checkEndpoint({ kind: "socket", path: ${JSON.stringify(path)} }); } catch ({ kind, hint }) { console.log(JSON.stringify({ kind, hint })); }
      `;
      await chmod(join(path, ".."), 0o755);
      // Only root can become somebody else; whoever is not root is refused root's socket as he is.
      const asSomebodyElse = process.getuid?.() === 0 ? script : script.replace(/process\.set\w+\([^)]*\);/g, "");
      if (process.getuid?.() !== 0) await chmod(path, 0o000);
      const child = Bun.spawn([process.execPath, "-e", asSomebodyElse], { stdout: "pipe", stderr: "inherit" });
      expect(JSON.parse(await child.stdout.text())).toEqual({
        kind: "forbidden",
        hint: expect.stringContaining("usermod -aG docker"),
      });
      server.close();
    });
  });
});

describe("a real engine", () => {
  engineTest("agrees on a version that both speak", async () => {
    expect(compareVersions(engine().api, API_MIN)).toBeGreaterThanOrEqual(0);
    expect(compareVersions(engine().api, API_MAX)).toBeLessThanOrEqual(0);
    expect(engine().version).toMatch(/^\d+\.\d+/);
    expect(["x64", "arm64"]).toContain(engine().arch);
  });

  engineTest("what does not exist is undefined or not-found, removing it is done", async () => {
    expect(await inspectContainer(engine(), "linkspan-test-nothing", soon())).toBeUndefined();
    await removeContainer(engine(), "linkspan-test-nothing", soon());
    expect(await rejection(startContainer(engine(), "linkspan-test-nothing", soon()))).toMatchObject({
      kind: "not-found",
    });
    expect(
      await rejection(createContainer(engine(), undefined, { Image: "linkspan-test/nothing:1", Cmd: ["x"] }, soon())),
    ).toMatchObject({ kind: "not-found" });
  });

  engineTest("the body of a create call is in no URL; names, links and files are what was asked for", async () => {
    await using proxy = await startRecordingProxy(engine());
    const through = await at(proxy.path);
    const secret = "SECRET_VALUE_THAT_IS_IN_NO_URL";
    const name = `linkspan-test-${crypto.randomUUID()}`;
    const config = { Image: await scratchImage(engine()), Env: [`TOKEN=${secret}`], Labels: { "linkspan.test": name } };
    const id = await createContainer(through, name, config, soon());
    try {
      expect(proxy.sent()).toContain(secret);
      expect(proxy.requestLines().join("\n")).not.toContain(secret);
      expect(proxy.requestLines()).toContain(`POST /v${through.api}/containers/create?name=${name} HTTP/1.1`);
      expect(await rejection(createContainer(through, name, config, soon()))).toMatchObject({ kind: "conflict" });
      expect((await listContainers(through, { label: [`linkspan.test=${name}`] }, soon())).map(({ Id }) => Id)).toEqual(
        [id],
      );
      const file = await readPath(through, id, "/server", 4, soon());
      expect(file?.content.toString("latin1")).toBe("\x7fELF");
      expect(await readPath(through, id, "/nothing", 4, soon())).toBeUndefined();
    } finally {
      await removeContainer(engine(), id, soon());
    }
  });

  engineTest("a cut connection is a fault, and the next call works", async () => {
    await using proxy = await startRecordingProxy(engine());
    const through = await at(proxy.path);
    const waiting = through.act({ what: "waiting for events", method: "GET", path: "/events" }, soon(5_000));
    const cutSoon = (async () => {
      while (!proxy.sent().includes("/events")) await Bun.sleep(5);
      proxy.cut();
    })();
    expect(await rejection(waiting)).toMatchObject({ kind: "unreachable" });
    await cutSoon;
    expect((await through.info(soon())).OSType).toBe("linux");
  });
});
