/** Files of this machine that tools read and write: archives and build contexts. */
import { mkdir, realpath } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { contains, overlaps, refusal } from "../docker/bind-rules.ts";
import { canonicalOr } from "../safety/mounts.ts";
import type { Settings } from "./settings.ts";

/** A name inside the data directory's `archives`, or an absolute path in an allowed folder. */
export const archiveFile = v.pipe(
  v.string(),
  v.maxLength(4096),
  v.regex(/^(\/[^\0]+|[A-Za-z0-9][A-Za-z0-9_.-]{0,200})$/, "expected a file's name, or an absolute path"),
  v.check((path) => !path.split("/").includes(".."), "expected a path without .."),
  v.description(
    "A file's name (kept in the data directory), or an absolute path in a folder of SAFETY_VOLUME_MOUNT_ALLOWLIST",
  ),
);

/** Where a file is to be written. Its folder must exist, and be allowed. */
export async function archiveToWrite(asked: string, settings: Settings): Promise<string> {
  if (!isAbsolute(asked)) {
    const folder = archivesOf(settings);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return join(folder, asked);
  }
  return join(await allowedFolder(dirname(asked), settings, basename(asked)), basename(asked));
}

/** A file that exists, by its canonical path. */
export async function archiveToRead(asked: string, settings: Settings): Promise<string> {
  const path = isAbsolute(asked) ? asked : join(archivesOf(settings), asked);
  const found = await realpath(path).catch((cause: unknown) => {
    throw new Fault("not-found", `there is no file ${asked}`, {
      hint: "Names without a / are looked up in the data directory.",
      cause,
    });
  });
  if (isAbsolute(asked)) await allowedFolder(dirname(found), settings, basename(found));
  else if (!contains(await realpath(archivesOf(settings)), found))
    throw new Fault("forbidden", `${asked} is a link to somewhere else`, { hint: "Name a file that is there itself." });
  return found;
}

/**
 * A folder whose files may be read, such as a build's context; with `only`, no more than that one file. Faults: `forbidden`,
 * `invalid`.
 */
export async function allowedFolder(folder: string, settings: Settings, only?: string): Promise<string> {
  const found = await realpath(folder).catch((cause: unknown) => {
    throw new Fault("invalid", `the folder ${folder} does not exist or cannot be read`, { cause });
  });
  const allowed = await Promise.all(settings.mountAllowlist.map(canonicalOr));
  const blocklist = await Promise.all(settings.mountBlocklist.map(canonicalOr));
  // With a folder goes what is in it.
  const blocked = blocklist.some((one) =>
    only === undefined ? overlaps(one, found) : contains(one, join(found, only)),
  );
  const reason = blocked ? "it has to do with what is on the blocklist" : refusal(found, true, [settings.dataDir]);
  if (reason === undefined && allowed.some((one) => contains(one, found))) return found;
  throw new Fault("forbidden", `${folder} is not read or written: ${reason ?? "it lies outside the allowed folders"}`, {
    hint: "Whoever configures this server names the folders in SAFETY_VOLUME_MOUNT_ALLOWLIST.",
  });
}

function archivesOf(settings: Settings): string {
  return join(settings.dataDir, "archives");
}
