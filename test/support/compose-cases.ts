/** The cases of test/golden/compose: files as they lie in a folder, what is made of them here, and what elsewhere. */
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
/** In what is said, instead of the folder's own path. */
const ROOT = "/ROOT";

const story = v.strictObject({
  files: v.record(v.string(), v.string()),
  /** Absent: what a folder has. */
  use: v.optional(v.array(v.string())),
  env: v.optional(v.record(v.string(), v.string()), {}),
  profiles: v.optional(v.array(v.string()), []),
  name: v.optional(v.string()),
});
export type Story = v.InferOutput<typeof story>;

const golden = v.strictObject({
  "compose-go": v.string(),
  config: v.optional(v.record(v.string(), v.unknown())),
  error: v.optional(v.string()),
});

export interface Said {
  config?: unknown;
  error?: string | undefined;
}

export function caseNames(): string[] {
  return [...new Bun.Glob("*.yaml").scanSync(GOLDEN)].map((path) => path.replace(/\.yaml$/, "")).toSorted();
}

export async function storyOf(name: string): Promise<Story> {
  return v.parse(story, parse(await readFile(join(GOLDEN, `${name}.yaml`), "utf8")));
}

export async function goldenOf(name: string): Promise<Said> {
  return v.parse(golden, await Bun.file(join(GOLDEN, `${name}.json`)).json());
}

/** What stands for nothing is left out, and so is anybody's own: versions write more and less of it. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .map(([name, inner]): [string, unknown] => [name, plain(inner)])
    .filter(([name, inner]) => inner !== undefined && JSON.stringify(inner) !== "{}" && !name.startsWith("x-"));
  return Object.fromEntries(entries);
}

/** Lets something be said of a story's folder; paths in it begin with /ROOT. */
export async function inFolder(told: Story, say: (folder: string) => Promise<Said>): Promise<Said> {
  const root = await realpath(await mkdtemp(join(tmpdir(), "linkspan-test-agreement-")));
  const folder = join(root, "shop");
  try {
    for (const [name, text] of Object.entries(told.files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    const { config, error } = await say(folder);
    return config === undefined ? { error } : { config: JSON.parse(JSON.stringify(config).replaceAll(root, ROOT)) };
  } finally {
    await rm(root, { recursive: true });
  }
}

export function ours(told: Story): Promise<Said> {
  return inFolder(told, async (folder) => {
    const read = (path: string) =>
      readFile(path, "utf8").catch((cause: unknown) => {
        throw new Fault("not-found", `no ${path}`, { cause });
      });
    const { use, env, profiles, name: projectName } = told;
    try {
      const named = use?.map(async (name) => ({ path: join(folder, name), text: await read(join(folder, name)) }));
      const files = named ? await Promise.all(named) : await filesOf(folder, { env, read });
      const loaded = await loadProject({ files, env, profiles, projectName, allowPrivileged: false, read });
      if (loaded.ok) return { config: configOf(loaded.project) };
      return { error: loaded.findings.map(({ path, message }) => `${path}: ${message}`).join("; ") };
    } catch (error) {
      return { error: Fault.from(error).message };
    }
  });
}
