/** What a created server is made of, and how that becomes something that the manager runs. */
import { mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { codeId, codeRef, codeSource, type CodeVersions, codeVersions, lockFile, sourceFile } from "../model/code.ts";
import type { SessionRequestInput } from "../model/session-request.ts";

export const language = v.picklist(["typescript", "javascript", "python"]);
export type Language = v.InferOutput<typeof language>;

/** `lock`: the versions that an earlier installation has found. */
export const source = v.object({ ...codeSource.entries, language });
export type Source = v.InferOutput<typeof source>;

/** What Linux takes as one argument of a program is 128 KiB. */
const PYTHON_BYTES_MAX = 100 * 1024;
/** Files of sources that are kept for those that may start them again; the oldest go first. */
const SOURCES_MAX = 256;
/** Runs the text that comes as its argument, with a name and lines for tracebacks. */
const PYTHON_LOADER =
  "import sys, linecache; code = sys.argv.pop(); linecache.cache['server.py'] = (len(code), None, code.splitlines(True), 'server.py'); exec(compile(code, 'server.py', 'exec'), {'__name__': '__main__', '__file__': 'server.py'})";

type Run = Pick<SessionRequestInput, "server" | "definition">;

/**
 * Each session, and so each created server, has a container of its own, without network.
 * Faults: `unsupported` (Python without an image), `invalid`, `too-large`.
 */
export async function prepareRun(made: Source, dataDir: string, env: Record<string, string | undefined>): Promise<Run> {
  const definition = { session: "container", network: "none" } as const;
  if (made.language === "python") return pythonRun(made, definition, env);
  const { language: spoken, ...rest } = made;
  const server = await writeSource({ language: spoken, ...rest }, dataDir);
  return { server, definition };
}

function pythonRun(
  { code, dependencies }: Source,
  definition: NonNullable<Run["definition"]>,
  env: Record<string, string | undefined>,
): Run {
  const image = env.LINKSPAN_PYTHON_IMAGE;
  if (!image)
    throw new Fault("unsupported", "Python servers need an image with Python in it, and none is named", {
      hint: "Whoever configures this server names one that has python3 and the package mcp in LINKSPAN_PYTHON_IMAGE; or take typescript or javascript, which need none.",
    });
  if (Object.keys(dependencies).length > 0)
    throw new Fault("unsupported", "packages of a Python server have to be in its image", {
      hint: "Leave dependencies out, and have the packages put into the image that LINKSPAN_PYTHON_IMAGE names.",
    });
  if (Buffer.byteLength(code) > PYTHON_BYTES_MAX)
    throw new Fault("too-large", `the code of a Python server has at most ${PYTHON_BYTES_MAX} bytes`);
  const args = ["-u", "-c", PYTHON_LOADER, code];
  if (image.startsWith("exec:")) return { server: image, definition: { ...definition, args } };
  // A reference has a colon or a slash; python3 alone would be the name of a server.
  const server = /[:/@]/.test(image) ? image : `${image}:latest`;
  return { server, definition: { ...definition, command: ["python3", ...args] } };
}

/** Atomic; the same source has the same file. Resolves with the reference that the manager runs. */
async function writeSource(made: v.InferOutput<typeof codeSource>, dataDir: string): Promise<string> {
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
  if (made.language === "python" || made.lock !== undefined) return undefined;
  const id = codeId(codeRef({ ...made, language: made.language })) ?? "";
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
