/** `code:ID`: the files of a created server, and the packages it needs, installed into a folder. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Deadline } from "../../base/deadline.ts";
import { CODE_ENTRY, type CodeSource } from "../../model/code.ts";
import { keepVersions } from "../code-source.ts";
import type { Report } from "../runtime.ts";
import { runBun } from "./bun.ts";
import { INSTALL_FLAGS, type NpmPlatform, parseNpmRef, platformFlags, resolveNpm } from "./npm.ts";

export interface CodeInstalled {
  folder: string;
  /** The program to run, relative to `folder`. */
  entry: string;
}

/**
 * Writes the source into the folder and installs what it depends on; no lifecycle script runs. Which versions that were
 * is kept beside the source. Faults: `not-found` (no such source, package or version), `unreachable`, `timeout`.
 */
export async function installCode(
  dataDir: string,
  id: string,
  source: CodeSource,
  folder: string,
  report: Report,
  deadline: Deadline,
  platform?: NpmPlatform,
): Promise<CodeInstalled> {
  const entry = CODE_ENTRY[source.language];
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await Bun.write(join(folder, entry), source.code);
  const wanted = source.lock === undefined ? await exactVersions(source, report, deadline) : source.dependencies;
  await Bun.write(
    join(folder, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies: wanted }),
  );
  const names = Object.entries(wanted).map(([name, version]) => `${name}@${version}`);
  if (names.length === 0) return { folder, entry };
  const subject = names.join(", ");
  report({ step: "install", detail: subject });
  if (source.lock !== undefined) await Bun.write(join(folder, "bun.lock"), source.lock);
  const frozen = source.lock === undefined ? [] : ["--frozen-lockfile"];
  const progress = (line: string) => report({ step: "install", detail: line });
  await runBun(
    ["install", ...INSTALL_FLAGS, ...frozen, ...platformFlags(platform)],
    folder,
    subject,
    progress,
    deadline,
  );
  if (source.lock === undefined) {
    const lock = await readFile(join(folder, "bun.lock"), "utf8");
    await keepVersions(dataDir, id, { dependencies: wanted, lock });
  }
  return { folder, entry };
}

/** Asked one by one, so that the one that does not exist is named. An exact version need not be asked for. */
async function exactVersions(source: CodeSource, report: Report, deadline: Deadline): Promise<Record<string, string>> {
  const resolving = Object.entries(source.dependencies).map(async ([name, want]) => {
    const ref = parseNpmRef(`npm:${name}@${want}`);
    return [name, ref.exact ? want : (await resolveNpm(ref, report, deadline)).version] as const;
  });
  return Object.fromEntries(await Promise.all(resolving));
}
