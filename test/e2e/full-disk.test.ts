/** The disk with the data directory is full: running calls go on, the next manager comes up and takes everything over. */
import { expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

const plain = { image: `exec:${process.execPath}`, args: [join(import.meta.dir, "../fixtures/plain-server.ts")] };

/** A file system of a megabyte; undefined where this user may not mount one. */
async function smallDisk(): Promise<({ path: string } & AsyncDisposable) | undefined> {
  const path = await mkdtemp(join(tmpdir(), "ls-full-"));
  const mount = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", path]);
  if (mount.exitCode !== 0) {
    await rm(path, { recursive: true });
    return undefined;
  }
  return {
    path,
    async [Symbol.asyncDispose]() {
      // Processes that end still have their working directory there.
      await until("nobody uses the disk", () => Bun.spawnSync(["umount", path]).exitCode === 0);
      await rm(path, { recursive: true });
    },
  };
}

/** Fills what is left, to the last byte. */
async function fill(path: string): Promise<void> {
  for (let bytes = 1024 * 1024; bytes >= 1; bytes = Math.floor(bytes / 2)) {
    const file = join(path, `fill-${bytes}`);
    await writeFile(file, Buffer.alloc(bytes)).catch(() => {});
  }
}

const disk = await smallDisk();
await disk?.[Symbol.asyncDispose]();
if (!disk) process.stderr.write("!! SKIPPED: a full disk (this user may not mount one)\n");

test.skipIf(!disk)(
  "full: calls under way go on, the next manager comes up, serves what runs and who comes",
  async () => {
    await using small = await smallDisk();
    if (!small) throw new Error("it could be mounted a moment ago");
    await using stage = await Stage.open("process", { keepServers: true, dataDir: join(small.path, "data") });
    await stage.start("plain", plain);
    const before = await stage.view("plain");
    await using front = new RawFront(stage.front("plain"));
    await front.initialize();
    await fill(small.path);
    expect(await rejection(writeFile(join(small.path, "more"), Buffer.alloc(8192)))).toMatchObject({ code: "ENOSPC" });
    expect(JSON.stringify((await front.call("echo", { text: "full" })).result)).toContain("full");
    const call = front.ask("tools/call", { name: "later", arguments: { text: "meanwhile", count: 1_500 } });
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      await stage.end(signal);
      await stage.restart();
      await until("it is taken over", async () => (await stage.view("plain")).state === "ready", 5_000);
      expect((await stage.view("plain")).id).toBe(before.id);
    }
    expect(JSON.stringify((await front.answered(call)).result)).toContain("meanwhile");
    await using second = new RawFront(stage.front("plain"));
    await second.initialize();
    expect(JSON.stringify((await second.call("echo", { text: "a new client" })).result)).toContain("a new client");
  },
  60_000,
);
