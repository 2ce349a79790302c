/** A clock that can be set for processes of a test alone. */
import { createHash } from "node:crypto";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { tempDir } from "./cli.ts";
import { debianPackage } from "./images.ts";

const ROOT = join(import.meta.dir, "../..");
const CACHE = join(ROOT, ".cache/test");
const SOURCE = join(ROOT, "test/fixtures/set-clock.c");
const PAGE_BYTES = 4096;

export interface TestClock extends AsyncDisposable {
  /** For the processes whose clock it is. */
  env: Record<string, string>;
  /** They are wrong by so much from now on. */
  set(seconds: number): void;
}

export async function testClock(): Promise<TestClock> {
  const library = await compiled();
  const folder = await tempDir("clock");
  const path = join(folder.path, "seconds");
  const file = openSync(path, "w+", 0o600);
  ftruncateSync(file, PAGE_BYTES);
  return {
    env: { LD_PRELOAD: library, LINKSPAN_TEST_CLOCK: path },
    set(seconds) {
      writeSync(file, new BigInt64Array([BigInt(seconds)]), 0, 8, 0);
    },
    async [Symbol.asyncDispose]() {
      closeSync(file);
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** With Debian's small compiler, so that no other one has to be installed. */
async function compiled(): Promise<string> {
  const hash = createHash("sha256").update(await Bun.file(SOURCE).bytes());
  const file = join(CACHE, `set-clock-${hash.digest("hex").slice(0, 12)}.so`);
  if (await Bun.file(file).exists()) return file;
  const tcc = await debianPackage("tcc");
  const [lib] = (await readdir(join(tcc, "usr/lib"))).filter((name) => name.endsWith("-linux-gnu"));
  await mkdir(CACHE, { recursive: true });
  const draft = `${file}.${crypto.randomUUID()}`;
  const own = `-B${join(tcc, "usr/lib", lib ?? "", "tcc")}`;
  const child = Bun.spawn([join(tcc, "usr/bin/tcc"), own, "-shared", "-nostdlib", "-o", draft, SOURCE], {
    stderr: "pipe",
  });
  if ((await child.exited) !== 0) throw new Error(await child.stderr.text());
  await rename(draft, file);
  return file;
}
