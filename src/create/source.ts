/** What a created server is made of, and how that becomes something that the manager runs. */
import { mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import {
  codeId,
  codeRef,
  type CodeSource,
  codeSource,
  type CodeVersions,
  codeVersions,
  lockFile,
  sourceFile,
} from "../model/code.ts";
import type { SessionRequestInput } from "../model/session-request.ts";

export const language = codeSource.entries.language;
export type Language = v.InferOutput<typeof language>;

export const source = codeSource;
export type Source = CodeSource;

/** Files of sources that are kept for those that may start them again; the oldest go first. */
const SOURCES_MAX = 256;
type Run = Pick<SessionRequestInput, "server" | "definition">;

/** Each session, and so each created server, has a container of its own, without network. */
export async function prepareRun(made: Source, dataDir: string): Promise<Run> {
  return { server: await writeSource(made, dataDir), definition: { session: "container", network: "none" } };
}

/** What a new server in Python is built on, where whoever configures this says so. */
export function pythonBase(spoken: Language, env: Record<string, string | undefined>): Pick<Source, "base"> {
  const base = env.LINKSPAN_PYTHON_IMAGE;
  return spoken === "python" && base ? { base } : {};
}

/** Atomic; the same source has the same file. Resolves with the reference that the manager runs. */
async function writeSource(made: Source, dataDir: string): Promise<string> {
  const ref = codeRef(made);
  const file = sourceFile(dataDir, codeId(ref) ?? "");
  const now = new Date();
  const known = await utimes(file, now, now).then(
    () => true,
    () => false,
  );
  if (known) return ref;
  await writeWhole(file, JSON.stringify(made));
  await trim(dirname(file), SOURCES_MAX);
  await trim(dirname(lockFile(dataDir, "")), SOURCES_MAX);
  return ref;
}

/** What the installation of a source has found; undefined where it needed nothing. */
export async function versionsOf(made: Source, dataDir: string): Promise<CodeVersions | undefined> {
  if (made.lock !== undefined) return undefined;
  const id = codeId(codeRef(made)) ?? "";
  const text = await Bun.file(lockFile(dataDir, id))
    .json()
    .catch(() => undefined);
  const parsed = v.safeParse(codeVersions, text);
  return parsed.success ? parsed.output : undefined;
}

/** A file that is there wholly or not at all, for nobody but its owner. */
export async function writeWhole(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = join(dirname(file), `.${crypto.randomUUID()}`);
  try {
    await writeFile(draft, text, { mode: 0o600, flush: true });
    await rename(draft, file);
  } finally {
    await rm(draft, { force: true });
  }
}

async function trim(folder: string, max: number): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  if (names.length <= max) return;
  const dated = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0 })),
  );
  const old = dated.toSorted((a, b) => b.at - a.at).slice(max);
  for (const { name } of old) await rm(join(folder, name), { force: true });
}
