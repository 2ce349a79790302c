/**
 * What is read from a file is what `docker compose config` says. test/golden/compose has cases (NAME.yaml) and what the library
 * inside the plugin, compose-go, makes of each (NAME.json), so that this needs neither of them. NAME.json is made as the plugin does
 * it: `cli.NewProjectOptions` with `WithDotEnv`, `WithConfigFileEnv`, `WithDefaultConfigPath`, `WithDefaultProfiles` and
 * `WithName`, `LoadProject`, `WithoutUnnecessaryResources`, `WithServicesEnvironmentResolved(true)`, `MarshalJSON`; the files lie in
 * /ROOT/shop, and only the names of a case are in the environment.
 */
import { expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { Fault } from "../../src/base/fault.ts";
import { configOf } from "../../src/compose/config.ts";
import { filesOf } from "../../src/compose/discover.ts";
import { loadProject } from "../../src/compose/load.ts";

const GOLDEN = join(import.meta.dir, "../golden/compose");

const story = v.strictObject({
  files: v.record(v.string(), v.string()),
  /** Absent: what a folder has. */
  use: v.optional(v.array(v.string())),
  env: v.optional(v.record(v.string(), v.string()), {}),
  profiles: v.optional(v.array(v.string()), []),
  name: v.optional(v.string()),
});
const golden = v.strictObject({
  "compose-go": v.string(),
  config: v.optional(v.record(v.string(), v.unknown())),
  error: v.optional(v.string()),
});

/** What stands for nothing is left out: the plugin's versions write more and less of it. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .map(([name, inner]): [string, unknown] => [name, plain(inner)])
    .filter(([name, inner]) => inner !== undefined && JSON.stringify(inner) !== "{}" && !name.startsWith("x-"));
  return Object.fromEntries(entries);
}

async function ours(told: v.InferOutput<typeof story>): Promise<{ config?: unknown; error?: string }> {
  const root = await realpath(await mkdtemp(join(tmpdir(), "linkspan-test-agreement-")));
  const folder = join(root, "shop");
  try {
    for (const [name, text] of Object.entries(told.files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    const read = (path: string) =>
      readFile(path, "utf8").catch((cause: unknown) => {
        throw new Fault("not-found", `no ${path}`, { cause });
      });
    const { use, env, profiles, name: projectName } = told;
    const files = use
      ? await Promise.all(use.map(async (name) => ({ path: join(folder, name), text: await read(join(folder, name)) })))
      : await filesOf(folder, { env, read });
    const loaded = await loadProject({ files, env, profiles, projectName, allowPrivileged: false, read });
    if (!loaded.ok) return { error: loaded.findings.map(({ path, message }) => `${path}: ${message}`).join("; ") };
    return { config: JSON.parse(JSON.stringify(configOf(loaded.project)).replaceAll(root, "/ROOT")) };
  } catch (error) {
    return { error: Fault.from(error).message };
  } finally {
    await rm(root, { recursive: true });
  }
}

for (const path of [...new Bun.Glob("*.yaml").scanSync(GOLDEN)].toSorted()) {
  const name = path.replace(/\.yaml$/, "");
  test(name, async () => {
    const told = v.parse(story, parse(await readFile(join(GOLDEN, path), "utf8")));
    const official = v.parse(golden, await Bun.file(join(GOLDEN, `${name}.json`)).json());
    const found = await ours(told);
    if (official.config === undefined) expect(found.error).toBeString();
    else expect(found.error ?? plain(found.config)).toEqual(plain(official.config));
  });
}
