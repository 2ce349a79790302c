/** A folder of this machine as the context of a build. */
import dockerignore from "@balena/dockerignore";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../../base/fault.ts";
import type { Entry } from "../../docker/archive.ts";

const CONTEXT_BYTES_MAX = 1024 ** 3;
const CONTEXT_FILES_MAX = 50_000;
const RULES_BYTES_MAX = 1024 * 1024;

/** Every file that .dockerignore lets through; links stay links, and lead nowhere on this machine. */
export async function contextOf(root: string, dockerfile: string): Promise<Entry[]> {
  const ignored = dockerignore().add(await rulesOf(join(root, ".dockerignore")));
  const entries: Entry[] = [];
  let bytes = 0;
  for await (const name of namesIn(root, "")) {
    // The engine needs these two whatever the rules say.
    if (ignored.ignores(name) && name !== dockerfile && name !== ".dockerignore") continue;
    const path = join(root, name);
    const found = await lstat(path);
    if (found.isDirectory()) {
      entries.push({ kind: "folder", name });
      continue;
    }
    bytes += found.size;
    if (entries.length >= CONTEXT_FILES_MAX || bytes > CONTEXT_BYTES_MAX)
      throw new Fault(
        "too-large",
        `the build context has more than ${CONTEXT_FILES_MAX} files or ${CONTEXT_BYTES_MAX} bytes`,
        {
          hint: "Leave out what the build does not need, in .dockerignore.",
        },
      );
    entries.push({ kind: "tree", name, path });
  }
  return entries;
}

/** A link, or something without an end, is no file of rules. */
async function rulesOf(file: string): Promise<string> {
  const found = await lstat(file).catch(() => undefined);
  return found?.isFile() && found.size <= RULES_BYTES_MAX ? readFile(file, "utf8") : "";
}

/** A folder's names before those of what is in it. Links are named and never followed: `readdir` itself would follow them. */
async function* namesIn(root: string, folder: string): AsyncGenerator<string> {
  const found = await readdir(join(root, folder), { withFileTypes: true });
  for (const entry of found.toSorted((left, right) => (left.name < right.name ? -1 : 1))) {
    const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
    yield name;
    if (entry.isDirectory()) yield* namesIn(root, name);
  }
}
