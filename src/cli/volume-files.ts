/** Backups as files of this machine: complete and checked before they have their name, checked before they are sent. */
import { access, constants, link, open, rename, rm, stat } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import type { VolumeClient } from "../api/client/volumes.ts";
import { Fault } from "../base/fault.ts";
import { withoutStall } from "../base/stall.ts";
import type { BackupContent } from "../model/backup.ts";
import { checkBackup } from "../model/backup-read.ts";
import { ARCHIVE_STALL_MS, backupLimits, type VolumeRestored } from "../model/volumes.ts";
import { type ProgressLine, showProgress } from "./progress.ts";
import { note } from "./terminal.ts";

/** Opened when everything that can be refused without a manager has been looked at. */
type Volumes = () => Promise<VolumeClient>;

export interface Saved extends BackupContent {
  file: string;
  packedBytes: number;
}

/** Faults: the manager's; `conflict` where the file exists, without `force`; `forbidden` where it cannot be written. */
export async function saveBackup(
  volumes: Volumes,
  name: string,
  file: string,
  force: boolean,
  signal: AbortSignal,
): Promise<Saved> {
  if (!force && (await sizeOf(file)) !== undefined) throw exists(file);
  const client = await volumes();
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(4).toString("hex")}.part`);
  const progress = showProgress();
  try {
    const archive = withoutStall(client.backup(name, { force, signal }), ARCHIVE_STALL_MS, `the backup of ${name}`);
    await write(temporary, counted(archive, progress, `backing up ${name}`));
    const packedBytes = (await sizeOf(temporary)) ?? 0;
    const content = await check(temporary, packedBytes, { limits: NO_LIMITS, outwardLinks: true }, progress, signal);
    await place(temporary, file, force);
    return { file, packedBytes, ...content };
  } finally {
    progress.end();
    await rm(temporary, { force: true });
  }
}

export interface RestoreChoice {
  force: boolean;
  outwardLinks: boolean;
  bytesMax: number | undefined;
}

/** Faults: the manager's; `not-found` and `invalid` for the file, before anything is sent. */
export async function restoreFrom(
  volumes: Volumes,
  name: string,
  file: string,
  { force, outwardLinks, bytesMax }: RestoreChoice,
  signal: AbortSignal,
): Promise<VolumeRestored & { file: string; packedBytes: number }> {
  const packedBytes = await sizeOf(file);
  if (packedBytes === undefined) throw new Fault("not-found", `there is no file ${file}`);
  await access(file, constants.R_OK).catch((cause: unknown) => {
    throw new Fault("forbidden", `${file} cannot be read: ${reasonOf(cause)}`, { cause });
  });
  const progress = showProgress();
  try {
    const reading = { limits: backupLimits(bytesMax), outwardLinks };
    await check(file, packedBytes, reading, progress, signal);
    const client = await volumes();
    const archive = counted(Bun.file(file).stream(), progress, `restoring ${name}`, packedBytes);
    const request = { force, outwardLinks, signal, ...(bytesMax === undefined ? {} : { maxSize: bytesMax }) };
    const done = await client.restore(name, streamOf(archive), request);
    return { ...done, file, packedBytes };
  } finally {
    progress.end();
  }
}

/**
 * Aborts at Ctrl-C, SIGTERM or a closed terminal, so that a half-written file is removed and the manager hears of it. A
 * second one ends the process as usual.
 */
export function untilStopped(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => {
      note("stopping");
      controller.abort();
    });
  }
  return controller.signal;
}

/** It was in the volume: there is room for it. */
const NO_LIMITS = { entries: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
/** Readable for its owner only: what is in a volume is nobody else's. */
const FILE_MODE = 0o600;

async function write(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, "wx", FILE_MODE).catch((cause: unknown) => {
    throw new Fault("forbidden", `${dirname(path)} cannot be written: ${reasonOf(cause)}`, { cause });
  });
  try {
    for await (const chunk of chunks) {
      for (let written = 0; written < chunk.length;) {
        written += (await file.write(chunk, written)).bytesWritten;
      }
    }
    await file.sync();
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("exhausted", `the backup cannot be written: ${reasonOf(cause)}`, { cause });
  } finally {
    await file.close();
  }
}

async function check(
  path: string,
  size: number,
  reading: Parameters<typeof checkBackup>[1],
  progress: ProgressLine,
  signal: AbortSignal,
): Promise<BackupContent> {
  const chunks = counted(Bun.file(path).stream(), progress, `checking ${basename(path)}`, size);
  return await checkBackup(until(chunks, signal), reading);
}

/** Gives the file its name. A link cannot replace a file that came meanwhile; a rename does. */
async function place(temporary: string, file: string, force: boolean): Promise<void> {
  try {
    if (force) await rename(temporary, file);
    else await link(temporary, file);
  } catch (error) {
    const code = codeOf(error);
    if (code === "EEXIST") throw exists(file);
    if (force || !NO_LINKS.has(code)) throw new Fault("forbidden", `${file} cannot be made: ${reasonOf(error)}`);
    if ((await sizeOf(file)) !== undefined) throw exists(file);
    await rename(temporary, file);
  }
}

/** File systems without hard links (FAT, some network ones) answer with one of these. */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EISDIR"]);

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  progress: ProgressLine,
  step: string,
  total?: number,
): AsyncGenerator<Uint8Array> {
  let current = 0;
  for await (const chunk of chunks) {
    current += chunk.length;
    progress.report({ step, current, ...(total === undefined ? {} : { total }) });
    yield chunk;
  }
}

async function* until(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    if (signal.aborted) throw new Fault("cancelled", "stopped");
    yield chunk;
  }
}

function streamOf(chunks: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const next = await chunks.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
}

/** Bytes; undefined where there is no such file. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    if (found.isFile()) return found.size;
    throw new Fault("invalid", `${path} is no file`);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    if (codeOf(cause) === "ENOENT") return undefined;
    throw new Fault("forbidden", `${path} cannot be read: ${reasonOf(cause)}`, { cause });
  }
}

function exists(file: string): Fault {
  return new Fault("conflict", `${file} exists already`, { hint: "--force replaces it" });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function reasonOf(error: unknown): string {
  return codeOf(error) || (error instanceof Error ? error.message : String(error));
}
