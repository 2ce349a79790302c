/** Which files the compose tools read and write. */
import { mkdir, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { filesOf } from "../../compose/discover.ts";
import type { ComposeText } from "../../compose/load.ts";
import { contains } from "../../docker/bind-rules.ts";
import { allowedFolder } from "../files.ts";
import type { Settings } from "../settings.ts";

const FILE_BYTES_MAX = 1024 * 1024;
const RELATIVE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}(\/[A-Za-z0-9.][A-Za-z0-9_.-]{0,100}){0,4}$/;
const noUp = (path: string) => !path.split("/").includes("..");

const composeFile = v.pipe(
  v.string(),
  v.maxLength(4096),
  v.regex(/^[^\0]+$/),
  v.check((path) => isAbsolute(path) || RELATIVE.test(path), "expected shop/compose.yaml, or an absolute path"),
  v.check(noUp, "expected a path without .."),
);
export const composeFiles = v.pipe(
  v.union([composeFile, v.pipe(v.array(composeFile), v.minLength(1), v.maxLength(16))]),
  v.description(
    "shop/compose.yaml in the folder of docker_compose_write_file, or an absolute path in a folder of SAFETY_VOLUME_MOUNT_ALLOWLIST; several, the later laid over the first; or a folder, for its compose.yaml and compose.override.yaml",
  ),
);

/** The files themselves, each with its canonical path. Faults: `not-found`, `forbidden`, `too-large`. */
export async function projectFiles(
  asked: string | string[],
  request: Parameters<typeof filesOf>[1],
  settings: Settings,
): Promise<ComposeText[]> {
  if (!Array.isArray(asked)) {
    const folder = isAbsolute(asked) ? asked : join(settings.composeDir, asked);
    if (
      await stat(folder).then(
        (facts) => facts.isDirectory(),
        () => false,
      )
    )
      return filesOf(await readableFolder(folder, settings), request);
  }
  const paths = await Promise.all([asked].flat().map((one) => readableFile(one, settings)));
  return Promise.all(paths.map(async (path) => ({ path, text: await readText(path, settings) })));
}

export const fileToWrite = v.pipe(
  v.string(),
  v.regex(RELATIVE, "expected a path such as shop/compose.yaml"),
  v.check(noUp, "expected a path without .."),
  v.check((path) => /\.ya?ml$/.test(path), "expected a name that ends in .yaml or .yml"),
  v.description("Such as shop/compose.yaml; the folder's name is the project's unless the file says name:"),
);

/** The canonical path of a file that may be read. Faults: `not-found`, `forbidden`, `too-large`. */
export async function readableFile(asked: string, settings: Settings): Promise<string> {
  const path = isAbsolute(asked) ? asked : join(settings.composeDir, asked);
  const found = await realpath(path).catch(async (cause: unknown) => {
    // Whether something is there is told only of folders that may be read.
    const folder = await realpath(dirname(path)).catch(() => undefined);
    if (folder === undefined ? !contains(settings.composeDir, path) : !(await insideOwn(folder, settings)))
      await allowedFolder(dirname(path), settings, basename(path));
    throw new Fault("not-found", `there is no file ${asked}`, {
      hint: "docker_compose_write_file makes one; or give the text itself as content.",
      cause,
    });
  });
  if (!(await insideOwn(dirname(found), settings))) await allowedFolder(dirname(found), settings, basename(found));
  const facts = await stat(found);
  if (!facts.isFile()) throw new Fault("invalid", `${asked} is not a file`, { hint: "Name the file itself." });
  if (facts.size > FILE_BYTES_MAX) throw new Fault("too-large", `${asked} has more than ${FILE_BYTES_MAX} bytes`);
  return found;
}

/** A folder whose files may be read: one of the compose folder's, or an allowed one. */
export async function readableFolder(folder: string, settings: Settings): Promise<string> {
  return (await insideOwn(folder, settings)) ? realpath(folder) : allowedFolder(folder, settings);
}

export async function readText(path: string, settings: Settings): Promise<string> {
  return readFile(await readableFile(path, settings), "utf8");
}

async function insideOwn(folder: string, { composeDir }: Settings): Promise<boolean> {
  const [own, found] = await Promise.all([composeDir, folder].map((one) => realpath(one).catch(() => undefined)));
  return own !== undefined && found !== undefined && contains(own, found);
}

/** As a whole or not at all; nothing outside the folder, whatever links lie in it. */
export async function writeText(asked: string, text: string, { composeDir }: Settings): Promise<string> {
  await mkdir(composeDir, { recursive: true, mode: 0o700 });
  const own = await realpath(composeDir);
  const parts = dirname(asked) === "." ? [] : dirname(asked).split("/");
  let folder = own;
  // One at a time: a link among them must not lead anywhere before it has been looked at.
  for (const part of parts) {
    await mkdir(join(folder, part), { mode: 0o700 }).catch((error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    });
    folder = await realpath(join(folder, part));
    if (!contains(own, folder))
      throw new Fault("forbidden", `${asked} leads out of ${composeDir}`, { hint: "Take another name." });
  }
  const path = join(folder, basename(asked));
  const draft = join(folder, `.${basename(asked)}.${crypto.randomUUID()}`);
  try {
    await writeFile(draft, text, { flag: "wx", mode: 0o600 });
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
  return path;
}
