/** Fixtures as images of one file, which the injected executable runs. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { engine } from "../support/engine.ts";
import { testImage } from "../support/images.ts";

const ROOT = join(import.meta.dir, "../..");
const BUN = ["/.linkspan/ld.so", "--library-path", "/.linkspan/lib", "/.linkspan/linkspan"];

/** The body that starts test/fixtures/NAME.ts in a container of nothing else. */
export async function fixtureBody(name: string): Promise<Record<string, unknown>> {
  const folder = join(ROOT, ".cache/test", `${name}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`);
  await mkdir(folder, { recursive: true });
  try {
    const entrypoints = [join(ROOT, "test/fixtures", `${name}.ts`)];
    await Bun.build({ entrypoints, target: "bun", outdir: folder, naming: "server.js" });
    const path = join(folder, "server.js");
    const image = await testImage(engine(), name, [{ kind: "file", name: "server.js", path, mode: 0o644 }]);
    return { image, command: [...BUN, "/server.js"], env: { BUN_BE_BUN: "1" } };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
