/** A client asks for a server that cannot be had: `initialize` is answered with the reason and the way out. */
import { describe, expect, test } from "bun:test";
import { chmod, chown, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { inspectContainer, listContainers } from "../../src/docker/containers.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv, tempDir } from "../support/cli.ts";
import { engine, engineTest } from "../support/engine.ts";
import { startImageRegistry } from "../support/image-registry.ts";
import { testImage } from "../support/images.ts";
import { until } from "../support/until.ts";
import type { Launch } from "./launch.ts";
import { INITIALIZE, RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

/** Debian's `nobody`; only root can become somebody else. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

/** A front on its own data directory, as somebody who is not in the engine's group, with a manager in itself. */
async function answerOf(dir: string, host: string): Promise<{ message: string; code: number }> {
  const env = cleanEnv({ LINKSPAN_DATA_DIR: join(dir, "data"), HOME: dir, DOCKER_HOST: host });
  const front = [BINARY, "mcp", "--embedded", "alpine:3.20"];
  const [command = "", ...args] = isRoot
    ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", ...front]
    : front;
  const launch: Launch = {
    command,
    args,
    env: Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
  };
  await using client = new RawFront(launch);
  const { error } = await client.initialize(20_000);
  return { message: `${error?.message} ${JSON.stringify(error?.data)}`, code: await client.ended() };
}

describe("the engine is", () => {
  test("missing, not listening, forbidden: told apart, each with its way out", async () => {
    await using folder = await tempDir("engine");
    if (isRoot) await chown(folder.path, NOBODY, NOBODY);
    const socket = (name: string) => join(folder.path, name);
    const missing = await answerOf(folder.path, `unix://${socket("missing.sock")}`);
    expect(missing.message).toContain("no container engine answers at");
    expect(missing.message).toContain("start Docker");
    // What a killed engine leaves behind.
    const script = `Bun.listen({ unix: ${JSON.stringify(socket("dead.sock"))}, socket: { data() {} } }); process.kill(process.pid, "SIGKILL")`;
    await Bun.spawn([process.execPath, "-e", script]).exited;
    await chmod(socket("dead.sock"), 0o666);
    const dead = await answerOf(folder.path, `unix://${socket("dead.sock")}`);
    expect(dead.message).toContain("does not answer");
    expect(dead.message).toContain("start Docker");
    const forbidding = createServer(() => {});
    await new Promise<void>((resolve) => forbidding.listen(socket("forbidden.sock"), resolve));
    await chmod(socket("forbidden.sock"), 0o000);
    const forbidden = await answerOf(folder.path, `unix://${socket("forbidden.sock")}`);
    forbidding.close();
    expect(forbidden.message).toContain("no permission to use the container engine");
    expect(forbidden.message).toContain("usermod -aG docker");
    expect([missing.code, dead.code, forbidden.code]).toEqual([4, 4, 3]);
  }, 60_000);
});

describe("the image", () => {
  engineTest(
    "is being pulled and the pull stalls: the client sees progress, and no container is made",
    async () => {
      const layer = [
        { kind: "bytes", name: "data", bytes: crypto.getRandomValues(new Uint8Array(64 * 1024)) },
      ] as const;
      await using registry = await startImageRegistry({ "linkspan-test/slow": [...layer] }, { stalls: true });
      await using stage = await Stage.open("docker");
      await using front = new RawFront(stage.front(`${registry.host}/linkspan-test/slow:1`));
      front.ask("initialize", { ...INITIALIZE, _meta: { progressToken: "pull" } });
      await until("progress of the pull", () =>
        front.messages.some(
          ({ method, params }) => method === "notifications/progress" && JSON.stringify(params).includes("slow:1"),
        ),
      );
      front.endInput();
      const instance = await stage.instance();
      const found = await listContainers(engine(), { label: [`${LABEL.instance}=${instance}`] }, Deadline.in(10_000));
      expect(found).toEqual([]);
    },
    60_000,
  );
});

describe("the program in the container", () => {
  engineTest(
    "is missing, not executable, of another architecture: each is said, and the container is not started again and again",
    async () => {
      await using folder = await tempDir("programs");
      const file = async (name: string, bytes: Uint8Array | string, mode: number) => {
        const path = join(folder.path, name);
        await writeFile(path, bytes, { mode });
        return { kind: "file", name, path, mode } as const;
      };
      const foreign = Buffer.alloc(64);
      foreign.write("\x7fELF\x02\x01\x01", "latin1");
      foreign.writeUInt16LE(2, 16);
      foreign.writeUInt16LE(process.arch === "x64" ? 183 : 62, 18);
      const image = await testImage(engine(), "programs", [
        await file("plain", "#!/bin/sh\n", 0o644),
        await file("foreign", foreign, 0o755),
      ]);
      await using stage = await Stage.open("docker");
      const rows = [
        ["missing", "/nothing", /nothing does not exist/],
        ["forbidden", "/plain", /plain is not executable/],
        ["foreign", "/foreign", /is built for (arm64|x64), but this machine is/],
      ] as const;
      const answers = await Promise.all(
        rows.map(async ([name, command]) => {
          await stage.start(name, { image, command: [command] });
          const before = await incarnation(stage, name);
          await using front = new RawFront(stage.front(name));
          const { error } = await front.initialize(30_000);
          const code = await front.ended();
          return { message: error?.message, code, same: (await incarnation(stage, name)) === before };
        }),
      );
      expect(answers).toEqual(
        rows.map(([, , message]) => ({ message: expect.stringMatching(message), code: 5, same: true })),
      );
    },
    60_000,
  );
});

async function incarnation(stage: Stage, name: string): Promise<string> {
  const { id = "" } = await stage.view(name);
  return `${id} ${(await inspectContainer(engine(), id, Deadline.in(10_000)))?.State.StartedAt}`;
}
