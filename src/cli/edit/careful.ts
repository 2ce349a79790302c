/**
 * Files of other programs, changed with care: the whole new text or the old one is there at any moment, the mode stays, a
 * link is followed to what it means, what was there before lies beside it, and a change of somebody else is never lost.
 */
import { constants } from "node:fs";
import { chmod, chown, link, lstat, mkdir, open, readdir, realpath, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Fault } from "../../base/fault.ts";

/** Some clients keep their whole history in the same file. */
const FILE_BYTES_MAX = 32 * 1024 * 1024;
/** What lies beside a file at most; the oldest goes first. */
const BACKUPS_MAX = 5;

/** A file as it was read. */
export interface Found {
  /** What the path means: the end of all links. */
  path: string;
  /** Undefined where there is no file. */
  text: string | undefined;
  mode: number;
  owner: { uid: number; gid: number } | undefined;
}

export interface Backup {
  path: string;
  /** The file was not there. */
  absent: boolean;
  /** The beginning of the SHA-256 of the text that was written then. */
  written: string;
}

/** Faults: `forbidden`, `too-large`, `invalid` (no text, a link to nothing, not a file). */
export async function readFound(named: string): Promise<Found> {
  const path = await target(named);
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    if (codeOf(cause) === "ENOENT" || codeOf(cause) === "ENOTDIR") return undefined;
    throw unreadable(path, cause);
  });
  if (!file) return { path, text: undefined, mode: 0o600, owner: undefined };
  try {
    const facts = await file.stat();
    const { size, mode, uid, gid } = facts;
    if (!facts.isFile()) throw new Fault("invalid", `${path} is not a file`, { hint: "Nothing was changed." });
    if (size > FILE_BYTES_MAX) throw new Fault("too-large", `${path} has ${size} bytes, more than ${FILE_BYTES_MAX}`);
    const text = decode(await file.readFile(), path);
    return { path, text, mode: mode & 0o7777, owner: { uid, gid } };
  } catch (thrown) {
    throw thrown instanceof Fault ? thrown : unreadable(path, thrown);
  } finally {
    await file.close();
  }
}

/**
 * Writes `text` (undefined: the file goes) after a backup of what was there. The path of the backup. Fault `conflict` when
 * the file has changed since it was read, `forbidden` when it cannot be written.
 */
export async function replaceFound(found: Found, text: string | undefined): Promise<string> {
  const name = `${found.path}.linkspan-backup-${stamp()}-${fingerprint(text)}`;
  const backup = found.text === undefined ? `${name}.absent` : name;
  await guarded(found.path, async () => {
    if (found.text === undefined) await mkdir(dirname(found.path), { recursive: true });
    await writeNew(backup, found.text ?? "", found);
    try {
      await swap(found, text);
    } catch (thrown) {
      await unlink(backup);
      throw thrown;
    }
  });
  for (const old of (await backupsOf(found.path)).slice(BACKUPS_MAX)) await unlink(old.path).catch(() => undefined);
  return backup;
}

/** Puts a backup back in its place; it is used up by that. Faults as replaceFound. */
export async function restoreFound(found: Found, backup: Backup): Promise<void> {
  const text = backup.absent ? undefined : await readBackup(backup);
  if (text !== found.text) await guarded(found.path, () => swap(found, text));
  await unlink(backup.path);
}

export async function readBackup({ path }: Backup): Promise<string> {
  return (await readFound(path)).text ?? "";
}

/** Newest first. */
export async function backupsOf(path: string): Promise<Backup[]> {
  const folder = dirname(path);
  const prefix = `${basename(path)}.linkspan-backup-`;
  const names = await readdir(folder).catch(() => []);
  const ours = names
    .filter((name) => name.startsWith(prefix))
    .toSorted()
    .toReversed();
  return ours.flatMap((name) => {
    const [, written, absent] = /^\d{8}T\d{9}Z-([0-9a-f]{12})(\.absent)?$/.exec(name.slice(prefix.length)) ?? [];
    return written === undefined ? [] : [{ path: join(folder, name), absent: absent !== undefined, written }];
  });
}

/** Tells whether a text is the one that was written when a backup was made. */
export function fingerprint(text: string | undefined): string {
  return text === undefined ? "0".repeat(12) : new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 12);
}

/** A link that leads nowhere is not followed: what it means may be a disk that is not there now. */
async function target(named: string): Promise<string> {
  const found = await lstat(named).catch(() => undefined);
  if (!found?.isSymbolicLink()) return named;
  return realpath(named).catch((cause: unknown) => {
    throw new Fault("invalid", `${named} is a link to something that is not there`, {
      cause,
      hint: "Nothing was changed. Mend or remove the link first.",
    });
  });
}

async function guarded(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    throw new Fault("forbidden", `${path} cannot be written (${String(codeOf(thrown) ?? thrown)})`, {
      cause: thrown,
      hint: "Nothing was changed.",
    });
  }
}

async function swap(found: Found, text: string | undefined): Promise<void> {
  const draft = `${found.path}.linkspan-${process.pid}`;
  if (text !== undefined) await writeNew(draft, text, found);
  try {
    const now = await readFound(found.path);
    if (now.text !== found.text || now.path !== found.path) {
      throw new Fault("conflict", `${found.path} was changed by somebody else just now`, {
        hint: "Nothing was changed by this command. Run it again.",
      });
    }
    if (text === undefined) await unlink(found.path);
    else if (found.text === undefined) await create(draft, found.path);
    else await rename(draft, found.path);
  } finally {
    await unlink(draft).catch(() => undefined);
  }
}

/** A file that came into being since must not be overwritten: a link to a name that exists fails. */
async function create(draft: string, path: string): Promise<void> {
  await link(draft, path).catch(async (thrown: unknown) => {
    // There are file systems without links.
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(String(codeOf(thrown)))) throw thrown;
    await rename(draft, path);
  });
}

async function writeNew(path: string, text: string, { mode, owner }: Found): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  const made = await stat(path);
  // An administrator who sets up somebody else's client must not take the file away from them.
  if (owner && (owner.uid !== made.uid || owner.gid !== made.gid)) await chown(path, owner.uid, owner.gid);
  await chmod(path, mode);
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Fault("invalid", `${path} is not UTF-8 text`, { cause, hint: "Nothing was changed." });
  }
}

function unreadable(path: string, cause: unknown): Fault {
  return new Fault("forbidden", `${path} cannot be read (${String(codeOf(cause) ?? cause)})`, {
    cause,
    hint: "Nothing was changed.",
  });
}

/** `20261121T151735123Z`, so that names are in the order of time. */
function stamp(): string {
  return new Date().toISOString().replaceAll(/[-:.]/g, "");
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
}
