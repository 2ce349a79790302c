/** Commands whose point is the container: what `inspect` reports, and an image that speaks MCP by itself. */
import { expect } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { createContainer, inspectContainer, removeContainer, startContainer } from "../../src/docker/containers.ts";
import { removeImage } from "../../src/docker/images.ts";
import { linkspan, tempDir } from "../support/cli.ts";
import { cliManager } from "../support/cli-manager.ts";
import { engine, engineTest } from "../support/engine.ts";
import { until } from "../support/until.ts";

const SERVER = "npm:@modelcontextprotocol/server-filesystem";
const TEST_MS = 120_000;
const soon = () => Deadline.in(30_000);

engineTest(
  "run with limits, then inspect: the lock-in as the engine has it",
  async () => {
    await using manager = await cliManager("docker", "docker");
    const folder = join(manager.dir, "notes");
    mkdirSync(folder);
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, "a.txt"), "hello");
    const volume = ["-v", "./notes:/data"];
    const limits = ["--memory", "256m", "--cpus", "0.5", "--pids", "64"];
    const args = ["run", SERVER, "--name", "locked", ...volume, ...limits, "--secret", "KEY", "--", "/data"];
    const ran = await manager.run(args, { cwd: manager.dir, env: { KEY: "hunter2" } });
    expect(ran).toMatchObject({ code: 0, err: "", out: "locked\n" });
    const shown = await manager.run(["inspect", "locked"]);
    expect({ code: shown.code, err: shown.err }).toEqual({ code: 0, err: "" });
    for (const line of [
      /memory +256 MiB, no swap/,
      /cpus +0\.5/,
      /processes +at most 64/,
      /capabilities +none\n/,
      /privileges +none can be gained/,
      /root +read-only/,
      /network +none \(/,
      /ports +none published/,
      /mount +\/\.linkspan read-only, volume linkspan-bridge-/,
      /mount +\/data read-only, bind .*notes/,
      /environment +KEY \(secret\)/,
    ]) {
      expect(shown.out).toMatch(line);
    }
    const json = await manager.run(["inspect", "locked", "--json"]);
    expect(JSON.parse(json.out).raw.HostConfig.CapDrop).toEqual(["ALL"]);
    expect(shown.out + json.out).not.toContain("hunter2");
    const call = await manager.run(["call", "locked", "read_text_file", "path=/data/a.txt"]);
    expect(call).toMatchObject({ code: 0, out: "hello\n" });
    const denied = await manager.run(["call", "locked", "write_file", "path=/data/b.txt", "content=x"]);
    expect(denied.code).toBe(5);
    expect((await manager.run(["stats", "locked"])).out).toMatch(/locked +[\d.]+ MiB +256 MiB/);
    expect((await manager.run(["rm", "locked"])).code).toBe(0);
  },
  TEST_MS,
);

engineTest(
  "a private folder is read and written as its owner",
  async () => {
    await using manager = await cliManager("docker", "docker");
    const folder = join(manager.dir, "private");
    mkdirSync(folder, { mode: 0o700 });
    const { uid: self, gid: group } = statSync(folder);
    const owner = self === 0 ? [1234, 4321] : [self, group];
    if (self === 0) chownSync(folder, 1234, 4321);
    const ran = await manager.run(["run", SERVER, "--name", "own", "-v", `${folder}:/data:rw`, "--", "/data"]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    const written = await manager.run(["call", "own", "write_file", "path=/data/b.txt", "content=mine"]);
    expect(written.code).toBe(0);
    const { uid, gid } = statSync(join(folder, "b.txt"));
    expect([uid, gid]).toEqual(owner);
    expect((await manager.run(["rm", "own"])).code).toBe(0);
  },
  TEST_MS,
);

engineTest(
  "wrap: an image that serves MCP on a port to whoever has the token, and to nobody else",
  async () => {
    await using dir = await tempDir("wrap");
    const tag = `linkspan-test-wrap:${randomBytes(4).toString("hex")}`;
    const token = randomBytes(24).toString("base64url");
    writeFileSync(join(dir.path, "token"), token);
    chmodSync(join(dir.path, "token"), 0o644);
    chmodSync(dir.path, 0o755);
    const wrapped = await linkspan(["wrap", SERVER, "-t", tag, "--json", "--", "/tmp"], { timeoutMs: TEST_MS });
    expect({ code: wrapped.code, err: wrapped.err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(wrapped.out)).toMatchObject({ tag, from: SERVER });
    const again = await linkspan(["wrap", tag, "-t", `${tag}-again`]);
    expect(again.code).toBe(1);
    expect(again.err).toContain("has a bridge in it already");
    const Mounts = [{ Type: "bind" as const, Source: join(dir.path, "token"), Target: TOKEN_FILE, ReadOnly: true }];
    const id = await createContainer(engine(), undefined, { Image: tag, HostConfig: { Init: true, Mounts } }, soon());
    try {
      await startContainer(engine(), id, soon());
      const networks = (await inspectContainer(engine(), id, soon()))?.NetworkSettings.Networks ?? {};
      const address = Object.values(networks)[0]?.IPAddress ?? "";
      const answer = await converse(address, token);
      expect(JSON.parse(answer)).toMatchObject({ id: 1, result: { serverInfo: { name: "secure-filesystem-server" } } });
      expect(await converse(address, createHash("sha256").update(token).digest("hex"))).toContain("error");
    } finally {
      await removeContainer(engine(), id, soon());
      await removeImage(engine(), tag, soon());
    }
  },
  TEST_MS,
);

const TOKEN_FILE = "/run/secrets/linkspan-token";
const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "test", version: "1" } },
};

/** The first line that a plain client gets after `attach` and `initialize`; connects until somebody listens. */
function converse(host: string, token: string): Promise<string> {
  return until("an answer of the wrapped image", async () => {
    const answer = await new Promise<string>((resolve) => {
      let text = "";
      const socket = connect({ host, port: 5465 }, () => {
        socket.write(`${JSON.stringify({ link: "attach", token })}\n${JSON.stringify(INITIALIZE)}\n`);
      });
      socket.on("data", (chunk) => {
        text += chunk;
        if (text.includes("\n")) socket.destroy();
      });
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(text.split("\n")[0] ?? ""));
    });
    return answer === "" ? undefined : answer;
  });
}
