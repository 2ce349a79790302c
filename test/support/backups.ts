/** Backups as an attacker would forge them: any entries, and a checksum that fits. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { TAR_END, type TarHeader, tarHeader, tarPadding } from "../../src/base/tar.ts";

export interface Forged extends Partial<TarHeader> {
  name: string;
  content?: string;
}

export const FACTS = { format: 1, volume: "notes", created: "2026-01-01T00:00:00.000Z", linkspan: "0.0.0" } as const;
/** What every proper backup begins with. */
export const ROOT: Forged = { name: "volume/", kind: "folder", mode: 0o755 };

export function header({ content = "", ...given }: Forged): TarHeader {
  const plain = { kind: "file", mode: 0o644, uid: 0, gid: 0, mtime: 1_700_000_000, link: "" } as const;
  return { ...plain, size: Buffer.byteLength(content), ...given };
}

export function entry(forged: Forged): Buffer {
  const { content = "" } = forged;
  const bytes = Buffer.from(content);
  return Buffer.concat([tarHeader(header(forged)), bytes, tarPadding(bytes.length)]);
}

export function note(name: string, value: object): Buffer {
  return entry({ name, content: JSON.stringify(value), mtime: 0 });
}

/** The unpacked archive; `raw` parts go in as they are. */
export function forgeTar(parts: readonly (Forged | Uint8Array)[], checksum: object = {}): Buffer {
  const bytes = parts.map((part) => (part instanceof Uint8Array ? part : entry(part)));
  const body = Buffer.concat([note("linkspan-backup.json", FACTS), ...bytes]);
  const said = {
    sha256: createHash("sha256").update(body).digest("hex"),
    tarBytes: body.length,
    entries: parts.length,
    bytes: 0,
    outwardLinks: 0,
    leftOut: { devices: 0, pipes: 0, attributes: 0 },
    ...checksum,
  };
  return Buffer.concat([body, note("linkspan-checksum.json", said), TAR_END]);
}

export function forge(parts: readonly (Forged | Uint8Array)[], checksum?: object): Buffer {
  return gzipSync(forgeTar(parts, checksum));
}

/** In pieces of this size, as a network or a disk gives them. */
export async function* inPieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
