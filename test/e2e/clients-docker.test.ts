import { describe } from "bun:test";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { engine, engineTest } from "../support/engine.ts";
import { testImage } from "../support/images.ts";
import { testClients } from "./clients.ts";

const ROOT = join(import.meta.dir, "../..");
/** The injected executable as the runtime of the image's only file. */
const BUN = ["/.linkspan/ld.so", "--library-path", "/.linkspan/lib", "/.linkspan/linkspan"];

describe("clients of servers that run in containers", () => {
  testClients({ runtime: "docker", test: engineTest, modern });
});

async function modern(): Promise<Record<string, unknown>> {
  const folder = join(ROOT, ".cache/test", `modern-${process.pid}`);
  await mkdir(folder, { recursive: true });
  try {
    const entrypoints = [join(ROOT, "test/fixtures/modern-server.ts")];
    await Bun.build({ entrypoints, target: "bun", outdir: folder, naming: "server.js" });
    const path = join(folder, "server.js");
    const image = await testImage(engine(), "modern", [{ kind: "file", name: "server.js", path, mode: 0o644 }]);
    return { image, command: [...BUN, "/server.js"], env: { BUN_BE_BUN: "1" } };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
