/** Fixtures as images of one file, which the injected executable runs. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Entry } from "../../src/docker/archive.ts";
import { engine } from "../support/engine.ts";
import { testImage } from "../support/images.ts";

const ROOT = join(import.meta.dir, "../..");
const BUN = ["/.linkspan/ld.so", "--library-path", "/.linkspan/lib", "/.linkspan/linkspan"];

/** How the program of such an image is run, beside its image. */
export const FIXTURE_COMMAND = { command: [...BUN, "/server.js"], env: { BUN_BE_BUN: "1" } };

const fixture = (name: string) => join(ROOT, "test/fixtures", `${name}.ts`);

/** The body that starts a program, test/fixtures/NAME.ts unless another is named, in a container of nothing else. */
export async function fixtureBody(name: string, file = fixture(name)): Promise<Record<string, unknown>> {
  return { image: await testImage(engine(), name, await fixtureEntries(name, file)), ...FIXTURE_COMMAND };
}

/** What is in its image. */
export async function fixtureEntries(name: string, file = fixture(name)): Promise<Entry[]> {
  const folder = join(ROOT, ".cache/test", `${name}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`);
  await mkdir(folder, { recursive: true });
  try {
    await Bun.build({ entrypoints: [file], target: "bun", outdir: folder, naming: "server.js" });
    return [
      { kind: "bytes", name: "server.js", bytes: await Bun.file(join(folder, "server.js")).bytes(), mode: 0o644 },
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
