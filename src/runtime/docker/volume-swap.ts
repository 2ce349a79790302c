/**
 * `linkspan volume-swap take|drop FOLDER`, inside a container of our own: the archive calls of an engine can add files to
 * a volume, but neither remove nor rename them. `take` puts the files in FOLDER/volume in the place of everything else at
 * the volume's root; `drop` forgets FOLDER. Renames only, so that it is quick, needs no space and can be taken back.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { BACKUP_STAGE } from "../../model/backup-rules.ts";

/** Where the volume is mounted, and the name of the folder in an archive of its files. */
export const VOLUME_HOME = "/volume";
/** A stage of this age has lost its manager. */
const OLD_MS = 24 * 3_600_000;
const OLD_FILES = "old";

export async function volumeSwapMain([action = "", stage = "", root = VOLUME_HOME]: string[]): Promise<number> {
  try {
    if (!stage.startsWith(BACKUP_STAGE) || stage.includes("/")) throw new Error(`${stage} is no folder for this`);
    if (action !== "take" && action !== "drop") throw new Error("expected take or drop");
    const times = action === "take" ? take(root, stage) : undefined;
    if (hasOldFiles(join(root, stage))) throw new Error(`${stage} has the only copy of files`);
    rmSync(join(root, stage), { recursive: true, force: true });
    dropOldStages(root);
    // Last: all of the above is a change of the folder.
    if (times) utimesSync(root, times.atime, times.mtime);
    return 0;
  } catch (error) {
    process.stderr.write(`linkspan volume-swap: ${error instanceof Error ? error.message : error}\n`);
    return 1;
  }
}

/** Gives the times that the volume's own folder gets. */
function take(root: string, stage: string): { atime: Date; mtime: Date } {
  const fresh = join(root, stage, VOLUME_HOME);
  const old = join(root, stage, OLD_FILES);
  // Looked at before anything moves: without it there is nothing to take.
  const { mode, uid, gid, atime, mtime } = lstatSync(fresh);
  mkdirSync(old, { mode: 0o700 });
  const moved: [from: Buffer, to: Buffer][] = [];
  try {
    for (const [from, to] of [
      [root, old],
      [fresh, root],
    ] as const) {
      for (const name of readdirSync(from, { encoding: "buffer" })) {
        if (from === root && name.toString("latin1").startsWith(BACKUP_STAGE)) continue;
        renameSync(inside(from, name), inside(to, name));
        moved.push([inside(from, name), inside(to, name)]);
      }
    }
  } catch (error) {
    for (const [from, to] of moved.reverse()) renameSync(to, from);
    throw error;
  }
  chownSync(root, uid, gid);
  chmodSync(root, mode & 0o7777);
  flush(root);
  // What has this name is kept by whoever finds it later: it could be the only copy.
  renameSync(old, join(root, stage, "done"));
  return { atime, mtime };
}

/** Names are bytes: as text, one that is no UTF-8 would not be found again. */
function inside(folder: string, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), name]);
}

/** A power cut after this finds the one or the other, and not half of each. */
function flush(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Left by managers that were killed. One that was interrupted in the middle of `take` has old files, and stays. */
function dropOldStages(root: string): void {
  for (const name of readdirSync(root)) {
    const path = join(root, name);
    if (!name.startsWith(BACKUP_STAGE) || lstatSync(path).mtimeMs > Date.now() - OLD_MS) continue;
    if (!hasOldFiles(path)) rmSync(path, { recursive: true, force: true });
  }
}

/** After an exchange that was neither finished nor taken back. */
function hasOldFiles(stage: string): boolean {
  const old = join(stage, OLD_FILES);
  return existsSync(old) && readdirSync(old).length > 0;
}
