/** `linkspan volume` as users meet it: what servers write survives everything, backups are files, mistakes are refused. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { tarHeader } from "../../src/base/tar.ts";
import { removeContainer, signalContainer } from "../../src/docker/containers.ts";
import { type Forged, forge, header, ROOT } from "../support/backups.ts";
import { faultLine, inTerminal } from "../support/cli.ts";
import { type CliManager, cliManager } from "../support/cli-manager.ts";
import { ENGINE, engine, engineTest } from "../support/engine.ts";
import { VolumeShelf } from "../support/volume-shelf.ts";

const soon = () => Deadline.in(30_000);
const TEST_MS = 120_000;
const shelf = new VolumeShelf();
let manager: CliManager;

beforeAll(async () => {
  if (ENGINE) manager = await cliManager("volume", "docker");
}, TEST_MS);
afterAll(async () => {
  if (!ENGINE) return;
  await manager[Symbol.asyncDispose]();
  await shelf[Symbol.asyncDispose]();
}, TEST_MS);

async function ok(...args: string[]): Promise<string> {
  const { code, out, err } = await manager.run(args);
  expect({ args, code, err }).toMatchObject({ args, code: 0 });
  return out;
}

async function refused(...args: string[]) {
  const ran = await manager.run([...args, "--json"]);
  expect({ args, code: ran.code }).not.toEqual({ args, code: 0 });
  return faultLine(ran);
}

const file = (name: string) => join(manager.dir, name);
const SMALL: Forged[] = [ROOT, { name: "volume/note.txt", content: "kept\n" }];

describe("what a server writes", () => {
  const name = "keeper";
  const run = (volume: string, version: string, ...options: string[]) =>
    ok(
      "run",
      `npm:@modelcontextprotocol/server-filesystem${version}`,
      "--name",
      name,
      "-v",
      `${volume}:/data:rw`,
      ...options,
      "--",
      "/data",
    );
  const read = () => ok("call", name, "read_text_file", "path=/data/note.txt");
  const container = async (): Promise<string> => JSON.parse(await ok("inspect", name, "--json")).view.id;

  engineTest(
    "survives stop, kill, removal, another definition, and goes from one volume into another",
    async () => {
      const volume = shelf.name();
      await run(volume, "");
      await ok("call", name, "write_file", "path=/data/note.txt", "content=written once");
      for (const end of [
        async () => {},
        async () => void (await signalContainer(engine(), await container(), "SIGKILL", soon())),
        async () => removeContainer(engine(), await container(), soon()),
      ]) {
        // Stopped first, so that no session of the manager's is in the way.
        await ok("stop", name);
        await ok("start", name);
        await end();
        expect(await read()).toContain("written once");
      }
      // The same server, defined anew: another container with other limits.
      await ok("stop", name);
      await run(volume, "", "--memory", "300m", "-e", "UPGRADED=1");
      expect(await read()).toContain("written once");
      await ok("rm", name);
      expect(await ok("volume", "ls", "-q")).toContain(volume);

      const copy = shelf.name();
      await ok("volume", "backup", volume, file("notes.tar.gz"));
      await ok("volume", "restore", copy, file("notes.tar.gz"));
      await run(copy, "");
      expect(await read()).toContain("written once");
      // The files are still those of the server's user.
      await ok("call", name, "write_file", "path=/data/note.txt", "content=written again");
      expect(await read()).toContain("written again");
      expect(await ok("volume", "ls")).toMatch(new RegExp(`${copy} .*${name} \\(runs\\)`));
      expect(await refused("volume", "rm", copy)).toMatchObject({ kind: "conflict" });
      await ok("rm", name);
      await ok("volume", "rm", copy);
      expect(await ok("volume", "ls", "-q")).not.toContain(copy);
    },
    TEST_MS,
  );
});

describe("a backup", () => {
  engineTest(
    "is a complete file of its own, checked, and replaces nothing unasked",
    async () => {
      const volume = await shelf.make(SMALL);
      const path = file("small.tar.gz");
      const saved = JSON.parse(await ok("volume", "backup", volume, path, "--json"));
      expect(saved).toMatchObject({ file: path, volume, entries: 2, bytes: 5, packedBytes: statSync(path).size });
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(await refused("volume", "backup", volume, path)).toMatchObject({ kind: "conflict" });
      await ok("volume", "backup", volume, path, "--force");
      expect(await refused("volume", "backup", volume, file("missing/x.tar.gz"))).toMatchObject({ kind: "forbidden" });
      expect(await refused("volume", "backup", shelf.name(), file("none.tar.gz"))).toMatchObject({ kind: "not-found" });
      expect(existsSync(file("none.tar.gz"))).toBeFalse();
      expect(readdirSync(manager.dir).filter((name) => name.endsWith(".part"))).toEqual([]);
    },
    TEST_MS,
  );

  engineTest(
    "shows how far it is on a terminal",
    async () => {
      const volume = await shelf.make([ROOT, ...many(40)]);
      const options = { env: manager.env, timeoutMs: TEST_MS };
      const { code, bytes } = await inTerminal(["volume", "backup", volume, file("many.tar.gz")], options);
      expect(code).toBe(0);
      expect(Bun.stripANSI(bytes)).toMatch(/(backing up|checking)[^\n]*\(\d/);
      expect(Bun.stripANSI(bytes)).toContain("41 entries");
    },
    TEST_MS,
  );

  engineTest(
    "that is stopped with Ctrl-C leaves no file",
    async () => {
      const volume = await shelf.make([ROOT, ...many(80)]);
      let typed = false;
      const { code } = await inTerminal(["volume", "backup", volume, file("stopped.tar.gz")], {
        env: manager.env,
        timeoutMs: TEST_MS,
        onOutput(bytes, type) {
          if (!typed && bytes.includes("backing up")) {
            typed = true;
            type("\x03");
          }
        },
      });
      expect({ typed, failed: code !== 0 }).toEqual({ typed: true, failed: true });
      expect(readdirSync(manager.dir).filter((name) => name.includes("stopped"))).toEqual([]);
    },
    TEST_MS,
  );
});

describe("a restore", () => {
  engineTest(
    "is refused before anything is sent, where the file is not right",
    async () => {
      const volume = await shelf.make(SMALL);
      const before = await shelf.look(volume);
      const bad = async (name: string, bytes: Uint8Array) => {
        await Bun.write(file(name), bytes);
        return refused("volume", "restore", volume, file(name), "--force");
      };
      const good = Buffer.from(forge(SMALL));
      expect(await refused("volume", "restore", volume, file("none"))).toMatchObject({ kind: "not-found" });
      expect(await bad("text", Buffer.from("no archive"))).toMatchObject({ kind: "invalid" });
      expect(await bad("cut", good.subarray(0, -30))).toMatchObject({ kind: "invalid" });
      expect(await bad("forged", forge([ROOT, { name: "volume/../x" }]))).toMatchObject({ kind: "invalid" });
      const outward = forge([ROOT, { name: "volume/l", kind: "symlink", link: "/etc" }]);
      expect(await bad("outward", outward)).toMatchObject({
        kind: "invalid",
        hint: expect.stringContaining("--outward-links"),
      });
      expect(await refused("volume", "restore", volume, file("forged"), "--max-size", "many")).toMatchObject({
        kind: "usage",
      });
      expect(await shelf.look(volume)).toEqual(before);
    },
    TEST_MS,
  );

  engineTest(
    "needs force for files that are there, and takes them away with it",
    async () => {
      const volume = await shelf.make([ROOT, { name: "volume/other", content: "x" }]);
      const path = file("good.tar.gz");
      await Bun.write(path, forge(SMALL));
      expect(await refused("volume", "restore", volume, path)).toMatchObject({
        kind: "conflict",
        hint: expect.stringContaining("--force"),
      });
      expect(await ok("volume", "restore", volume, path, "--force")).toContain("2 entries");
      expect((await shelf.look(volume)).map((line) => / (volume\/\S*)/.exec(line)?.[1])).toEqual([
        "volume/",
        "volume/note.txt",
      ]);
    },
    TEST_MS,
  );
});

engineTest(
  "other programs' volumes are shown on request, and described with force",
  async () => {
    const volume = await shelf.make([], false);
    expect(await ok("volume", "ls")).not.toContain(volume);
    expect(await ok("volume", "ls", "--all")).toMatch(new RegExp(`${volume} .*others`));
    expect(await refused("volume", "inspect", volume)).toMatchObject({ kind: "forbidden" });
    expect(await ok("volume", "inspect", volume, "--force")).toContain("others");
  },
  TEST_MS,
);

engineTest("what is missing is said", async () => {
  expect(await refused("volume", "backup")).toMatchObject({ kind: "usage" });
  expect(await refused("volume", "backup", "notes")).toMatchObject({ kind: "usage" });
  expect(await refused("volume", "backup", "../etc", "x")).toMatchObject({ kind: "usage" });
  expect(await refused("volume", "prune")).toMatchObject({ kind: "usage" });
});

/** So many files of a MB that no compression makes smaller. */
function many(count: number): Uint8Array[] {
  const content = crypto.getRandomValues(Buffer.alloc(65_536));
  return Array.from({ length: count }, (_, at) =>
    Buffer.concat([
      tarHeader(header({ name: `volume/${String(at).padStart(4, "0")}`, size: 16 * content.length })),
      ...Array.from({ length: 16 }, () => content.map((byte, index) => byte ^ (at + index))),
    ]),
  );
}
