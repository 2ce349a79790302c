/** A volume is larger than a manager: what goes through it must not stay in it. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cliManager } from "../support/cli-manager.ts";
import { engineTest } from "../support/engine.ts";
import { VolumeShelf } from "../support/volume-shelf.ts";

const TEST_MS = 180_000;
const MIB = 1024 * 1024;
/** 300 MB, of which half is left when it is packed. */
const PIECES = 4_578;
/** Buffers on their way, and what the garbage collector has not looked at yet. */
const GROWTH_MAX = 100 * MIB;

/** Memory of a process that is its own and no file's, bytes. */
function ownMemory(pid: number): number {
  const [, kib = "0"] = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * 1024;
}

engineTest(
  "300 MB go through the manager into a backup and back, and its memory stays small",
  async () => {
    await using shelf = new VolumeShelf();
    await using manager = await cliManager("memory", "docker");
    const pid = Number(readFileSync(join(manager.dir, "data", "manager.pid"), "utf8"));
    const [from, to] = [await shelf.make(), shelf.name()];
    await shelf.putLarge(from, PIECES);
    const file = join(manager.dir, "large.tar.gz");
    const ok = async (...args: string[]) =>
      expect(await manager.run(args, { timeoutMs: TEST_MS })).toMatchObject({ code: 0, err: "" });
    // The first restore of a manager also brings its own executable to the engine.
    await ok("volume", "backup", from, file);
    await ok("volume", "restore", to, file);
    Bun.gc(true);
    const before = ownMemory(pid);
    let peak = before;
    const sampler = setInterval(() => {
      peak = Math.max(peak, ownMemory(pid));
    }, 20);
    try {
      await ok("volume", "backup", to, file, "--force");
      await ok("volume", "restore", to, file, "--force");
    } finally {
      clearInterval(sampler);
    }
    expect(peak).toBeGreaterThan(0);
    expect(Math.round((peak - before) / MIB)).toBeLessThan(GROWTH_MAX / MIB);
    expect((await shelf.look(to)).map((line) => line.split(" ").at(-1))).toEqual(
      (await shelf.look(from)).map((line) => line.split(" ").at(-1)),
    );
  },
  TEST_MS,
);
