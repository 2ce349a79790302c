/**
 * The backup of a volume: a gzip file of a tar archive that any tar unpacks.
 *
 *     linkspan-backup.json     which volume, when, by which version
 *     volume/…                 its files, with modes, owners, times and links
 *     linkspan-checksum.json   SHA-256 of every byte of the archive before this entry, and how many there are
 *
 * `gunzip -c FILE | head -c TARBYTES | sha256sum` gives the checksum by hand.
 */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { TAR_END, type TarPart, tarHeader, tarPadding } from "../base/tar.ts";
import { BackupRules } from "./backup-rules.ts";

/** Of one piece of a backup; small entries are put together. */
const PIECE_BYTES = 64 * 1024;
export const FIRST = "linkspan-backup.json";
export const LAST = "linkspan-checksum.json";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

export const backupFacts = v.object({
  format: v.literal(1),
  volume: v.string(),
  /** ISO 8601, UTC. */
  created: v.string(),
  /** The version that made it. */
  linkspan: v.string(),
});
export type BackupFacts = v.InferOutput<typeof backupFacts>;

export const backupChecksum = v.object({
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** What the checksum covers: the unpacked archive's bytes before the entry with this checksum. */
  tarBytes: count,
  /** Files, folders and links, the volume's own folder included. */
  entries: count,
  /** Content of all files. */
  bytes: count,
  /** Symbolic links that may lead out of the volume. */
  outwardLinks: count,
  /** What the volume had and the backup does not. */
  leftOut: v.object({
    devices: count,
    pipes: count,
    /** Files whose extended attributes are not in the backup. */
    attributes: count,
  }),
});
export type BackupChecksum = v.InferOutput<typeof backupChecksum>;

/** What is in a backup that was read to its end and found to be whole. */
export const backupContent = v.object({ ...backupFacts.entries, ...backupChecksum.entries });
export type BackupContent = v.InferOutput<typeof backupContent>;

/** The archive of a volume's files, not yet packed. What no backup holds is left out and counted. */
export async function* writeBackup(
  facts: BackupFacts,
  parts: AsyncIterable<TarPart>,
): AsyncGenerator<Uint8Array, void> {
  const digest = new Digest();
  const pieces = new Pieces();
  const rules = new BackupRules({ entries: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }, true);
  const leftOut = { devices: 0, pipes: 0, attributes: 0 };
  let size = 0;
  const put = (bytes: Uint8Array) => {
    digest.add(bytes);
    return pieces.add(bytes);
  };
  for (const bytes of note(FIRST, facts)) yield* put(bytes);
  for await (const part of parts) {
    if (part.kind === "content") {
      yield* put(part.bytes);
      continue;
    }
    yield* put(tarPadding(size));
    const { header, attributes } = part;
    size = 0;
    if (header.kind === "device" || header.kind === "pipe") leftOut[`${header.kind}s`] += 1;
    // Of one that was left out.
    else if (header.kind === "hardlink" && !rules.hasFile(header.link)) leftOut.devices += 1;
    else {
      if (attributes) leftOut.attributes += 1;
      rules.enter(header);
      size = header.size;
      yield* put(tarHeader(header));
    }
  }
  yield* put(tarPadding(size));
  const { entries, bytes, outwardLinks } = rules;
  const checksum: BackupChecksum = { ...digest.end(), entries, bytes, outwardLinks, leftOut };
  for (const bytes of note(LAST, checksum)) yield* pieces.add(bytes);
  yield* pieces.add(TAR_END);
  yield* pieces.end();
}

/**
 * The archive of parts as the engine unpacks it: written anew, so that nobody reads it another way than it was checked.
 * `folder` comes before every name, and ends with `/`.
 */
export async function* tarOf(parts: AsyncIterable<TarPart>, folder = ""): AsyncGenerator<Uint8Array> {
  const pieces = new Pieces();
  let size = 0;
  for await (const part of parts) {
    if (part.kind === "content") {
      yield* pieces.add(part.bytes);
      continue;
    }
    yield* pieces.add(tarPadding(size));
    const { header } = part;
    size = header.size;
    const link = header.kind === "hardlink" ? `${folder}${header.link}` : header.link;
    yield* pieces.add(tarHeader({ ...header, name: `${folder}${header.name}`, link }));
  }
  yield* pieces.add(tarPadding(size));
  yield* pieces.add(TAR_END);
  yield* pieces.end();
}

/** The checksum on its way through an archive. */
export class Digest {
  private readonly hash = createHash("sha256");
  private tarBytes = 0;

  add(bytes: Uint8Array): void {
    this.hash.update(bytes);
    this.tarBytes += bytes.length;
  }

  end(): { sha256: string; tarBytes: number } {
    return { sha256: this.hash.digest("hex"), tarBytes: this.tarBytes };
  }
}

/** Puts small pieces together: a stream of 512 bytes each would cost more than the files. */
class Pieces {
  private held = Buffer.allocUnsafe(PIECE_BYTES);
  private length = 0;

  *add(bytes: Uint8Array): Generator<Uint8Array> {
    if (this.length + bytes.length > PIECE_BYTES) yield* this.end();
    if (bytes.length >= PIECE_BYTES) yield bytes;
    else {
      this.held.set(bytes, this.length);
      this.length += bytes.length;
    }
  }

  *end(): Generator<Uint8Array> {
    if (this.length === 0) return;
    yield this.held.subarray(0, this.length);
    this.held = Buffer.allocUnsafe(PIECE_BYTES);
    this.length = 0;
  }
}

/** An entry with JSON in it. */
function note(name: string, value: object): Uint8Array[] {
  const body = Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
  const owner = { mode: 0o644, uid: 0, gid: 0, mtime: 0, link: "" };
  return [tarHeader({ name, kind: "file", size: body.length, ...owner }), body, tarPadding(body.length)];
}
