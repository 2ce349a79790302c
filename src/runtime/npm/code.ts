/** `code:ID`: the files of a created server, and the packages it needs, installed into a folder. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import {
  CODE_ENTRY,
  codeId,
  type CodeSource,
  codeSource,
  type CodeVersions,
  lockFile,
  sourceFile,
} from "../../model/code.ts";
import type { Report } from "../runtime.ts";
import { runBun } from "./bun.ts";
import { INSTALL_FLAGS, type NpmPlatform, parseNpmRef, platformFlags, resolveNpm } from "./npm.ts";

export interface CodeInstalled {
  folder: string;
  /** The program to run, relative to `folder`. */
  entry: string;
}

/** `code:ID` → ID; only for what `isCodeRef` has found to be one. */
export function idOfCode(image: string): string {
  const id = codeId(image);
  if (id !== undefined) return id;
  throw new Fault("invalid", `${JSON.stringify(image)} is no created server`);
}

/**
 * Writes the source into the folder and installs what it depends on; no lifecycle script runs. Which versions that were
 * is kept beside the source. Faults: `not-found` (no such source, package or version), `unreachable`, `timeout`.
 */
export async function installCode(
  dataDir: string,
  id: string,
  folder: string,
  report: Report,
  deadline: Deadline,
  platform?: NpmPlatform,
): Promise<CodeInstalled> {
  const source = await readSource(dataDir, id);
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
  if (source.lock === undefined) await keepLock(dataDir, id, folder, wanted);
  return { folder, entry };
}

async function readSource(dataDir: string, id: string): Promise<CodeSource> {
  const text = await readFile(sourceFile(dataDir, id), "utf8").catch((cause) => {
    throw new Fault("not-found", `the source of ${id} is not in this manager's data directory`, {
      cause,
      hint: "Create the server again; it and its manager need the same LINKSPAN_DATA_DIR.",
    });
  });
  return v.parse(codeSource, JSON.parse(text));
}

/** Asked one by one, so that the one that does not exist is named. An exact version need not be asked for. */
async function exactVersions(source: CodeSource, report: Report, deadline: Deadline): Promise<Record<string, string>> {
  const resolving = Object.entries(source.dependencies).map(async ([name, want]) => {
    const ref = parseNpmRef(`npm:${name}@${want}`);
    return [name, ref.exact ? want : (await resolveNpm(ref, report, deadline)).version] as const;
  });
  return Object.fromEntries(await Promise.all(resolving));
}

/** For the source of a saved server: which versions were found, of what it wants and of what that wants. */
async function keepLock(dataDir: string, id: string, folder: string, wanted: Record<string, string>): Promise<void> {
  const file = lockFile(dataDir, id);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${crypto.randomUUID()}`;
  const lock = await readFile(join(folder, "bun.lock"), "utf8");
  const versions: CodeVersions = { dependencies: wanted, lock };
  await writeFile(draft, JSON.stringify(versions), { mode: 0o600 });
  await rename(draft, file);
}
