/** Archives for the engine's archive and import calls: made and read as streams, so that no file is held in memory. */
import { constants } from "node:fs";
import { lstat, open, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { extract, type Header, type Pack, pack } from "tar-stream";

export interface Owner {
  uid: number;
  gid: number;
}

interface Named extends Partial<Owner> {
  /** Relative, with `/`. */
  name: string;
  mode?: number;
}

/** What goes into an archive. `tree` takes a folder with everything in it; links stay links, other kinds are left out. */
export type Entry =
  | (Named & { kind: "bytes"; bytes: Uint8Array })
  | (Named & { kind: "file"; path: string })
  | (Named & { kind: "folder" })
  | (Named & { kind: "link"; target: string })
  | (Partial<Owner> & { kind: "tree"; name: string; path: string });

/** Seconds after 1970 that every entry carries: the same files give the same archive. */
const EPOCH = new Date(0);

/** A tar archive of the entries, in their order. Reading errors of a file end the stream with that error. */
export function archiveOf(entries: readonly Entry[]): Readable {
  const archive = pack();
  fill(archive, entries).then(
    () => archive.finalize(),
    (error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return Readable.from(archive, { objectMode: false });
}

type Headers = Partial<Header> & Pick<Header, "name">;

async function fill(archive: Pack, entries: readonly Entry[]): Promise<void> {
  for (const entry of entries) {
    const owner = { uid: entry.uid ?? 0, gid: entry.gid ?? 0 };
    switch (entry.kind) {
      case "bytes":
        await put(archive, { name: entry.name, mode: entry.mode ?? 0o644, ...owner }, Buffer.from(entry.bytes));
        break;
      case "file":
        await putFile(archive, { name: entry.name, mode: entry.mode ?? 0o644, ...owner }, entry.path);
        break;
      case "folder":
        await put(archive, { name: entry.name, mode: entry.mode ?? 0o755, type: "directory", ...owner });
        break;
      case "link":
        await put(archive, { name: entry.name, mode: 0o777, type: "symlink", linkname: entry.target, ...owner });
        break;
      case "tree":
        await putTree(archive, entry.name, entry.path, owner);
        break;
    }
  }
}

async function putTree(archive: Pack, name: string, path: string, owner: Owner): Promise<void> {
  const found = await lstat(path);
  if (found.isSymbolicLink()) {
    await put(archive, { name, mode: 0o777, type: "symlink", linkname: await readlink(path), ...owner });
  } else if (found.isFile()) {
    // What has become a link since the look above is not followed.
    await putFile(archive, { name, mode: found.mode & 0o111 ? 0o755 : 0o644, ...owner }, path, constants.O_NOFOLLOW);
  } else if (found.isDirectory()) {
    await put(archive, { name, mode: 0o755, type: "directory", ...owner });
    // Sorted, because the order of a folder differs between machines.
    for (const child of (await readdir(path)).toSorted())
      await putTree(archive, `${name}/${child}`, join(path, child), owner);
  }
}

function put(archive: Pack, headers: Headers, bytes: Uint8Array = new Uint8Array()): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry({ ...headers, mtime: EPOCH }, bytes, (error) => (error ? reject(error) : resolve()));
  });
}

async function putFile(archive: Pack, headers: Headers, path: string, flags = 0): Promise<void> {
  await using file = await open(path, constants.O_RDONLY | flags);
  const { size } = await file.stat();
  let done: (error?: Error | null) => void = () => {};
  const written = new Promise<void>((resolve, reject) => {
    done = (error) => (error ? reject(error) : resolve());
  });
  const entry = archive.entry({ ...headers, size, mtime: EPOCH }, done);
  // A file that changed its size meanwhile: the callback above gets the same error.
  entry.on("error", () => {});
  const stopped = new Promise<void>((resolve) => void entry.once("close", () => resolve()));
  for await (const chunk of file.createReadStream({ highWaterMark: 1024 * 1024, autoClose: false })) {
    if (entry.destroyed) break;
    if (!entry.write(chunk)) await Promise.race([drained(entry), stopped]);
  }
  entry.end(null);
  await written;
}

function drained(entry: Sink): Promise<void> {
  return new Promise((resolve) => void entry.once("drain", () => resolve()));
}

type Sink = ReturnType<Pack["entry"]>;

/** One entry of an archive that was read, its content at most `bytesMax` bytes. */
export interface ReadEntry extends Owner {
  name: string;
  type: string;
  mode: number;
  size: number;
  content: Buffer;
}

/** The first entry of an archive; the rest is not read. Absent when the archive is empty. */
export async function firstEntry(archive: Readable, bytesMax: number): Promise<ReadEntry | undefined> {
  const reader = extract();
  archive.on("error", (error) => reader.destroy(error));
  archive.on("data", (chunk: Uint8Array) => {
    if (!reader.write(chunk)) archive.pause();
  });
  reader.on("drain", () => archive.resume());
  archive.on("end", () => reader.end(null));
  try {
    for await (const entry of reader) {
      const { name, type, mode, size, uid, gid } = entry.header;
      const content = size > 0 && type === "file" ? await head(entry, bytesMax) : Buffer.alloc(0);
      return { name, type, mode, size, uid, gid, content };
    }
    return undefined;
  } finally {
    archive.on("error", () => {}).destroy();
  }
}

/** What an archive has in it, without the contents; at most so many entries. */
export async function listEntries(archive: Readable, entriesMax: number): Promise<Omit<ReadEntry, "content">[]> {
  const reader = extract();
  archive.on("error", (error) => reader.destroy(error));
  archive.pipe(reader);
  const found: Omit<ReadEntry, "content">[] = [];
  try {
    for await (const entry of reader) {
      const { name, type, mode, size, uid, gid } = entry.header;
      found.push({ name, type, mode, size, uid, gid });
      if (found.length >= entriesMax) break;
      entry.resume();
    }
    return found;
  } finally {
    archive.on("error", () => {}).destroy();
  }
}

async function head(source: AsyncIterable<unknown>, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source) {
    if (!(chunk instanceof Uint8Array)) continue;
    chunks.push(chunk);
    length += chunk.length;
    if (length >= bytesMax) break;
  }
  return Buffer.concat(chunks).subarray(0, bytesMax);
}

/** Every file of a small archive that is in memory, as entries for another one. */
export async function entriesOf(archive: Uint8Array): Promise<Entry[]> {
  const reader = extract();
  reader.end(archive);
  const entries: Entry[] = [];
  for await (const entry of reader) {
    const { name, mode, size } = entry.header;
    entries.push({ kind: "bytes", name, mode, bytes: await head(entry, size) });
  }
  return entries;
}
