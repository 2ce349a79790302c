/**
 * Tar archives as streams, to the byte: POSIX pax (IEEE 1003.1, "pax Interchange Format") and the GNU long names of older
 * programs. Beside tar-stream (3.2.2), which cannot do what a backup needs: names that are no UTF-8 come out of its pax
 * records changed, whatever `filenameEncoding` says, and go into its headers as UTF-8, so that a restored volume would have
 * other files than were saved; it does not show the bytes of a header, which the checksum covers; and it skips what it
 * does not understand, where an archive from anywhere has to be refused.
 *
 * Names and link targets are byte strings: one character (0–255) for each byte, as Linux has them.
 */

export type TarKind = "file" | "folder" | "symlink" | "hardlink" | "device" | "pipe";

export interface TarHeader {
  /** A folder's name ends with `/`. */
  name: string;
  kind: TarKind;
  /** Permission bits, set-user-id and sticky included. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content that follow; 0 unless it is a file. */
  size: number;
  /** Unix seconds. */
  mtime: number;
  /** Where a link leads; else empty. */
  link: string;
}

export interface TarEntry {
  kind: "entry";
  header: TarHeader;
  /** Whether it had extended attributes, which are not read. */
  attributes: boolean;
  /** The bytes that were read for it; what was not read has those of `tarHeader`. */
  raw?: Uint8Array;
}

/** An entry's header, then its content in pieces. */
export type TarPart = TarEntry | { kind: "content"; bytes: Uint8Array };

export const TAR_BLOCK = 512;

/** The header's blocks: one, or three and more where ustar has no room for a value. The same header gives the same bytes. */
export function tarHeader(header: TarHeader): Buffer {
  const records: string[] = [];
  const { name, link, uid, gid, size, mtime } = header;
  if (name.length > NAME_BYTES) records.push(paxRecord("path", name));
  if (link.length > NAME_BYTES) records.push(paxRecord("linkpath", link));
  for (const [key, value, max] of [
    ["uid", uid, SHORT_MAX],
    ["gid", gid, SHORT_MAX],
    ["size", size, LONG_MAX],
    ["mtime", mtime, LONG_MAX],
  ] as const) {
    if (value < 0 || value > max) records.push(paxRecord(key, String(value)));
  }
  const main = ustarBlock(header, TYPES[header.kind]);
  if (records.length === 0) return main;
  const body = Buffer.from(records.join(""), "latin1");
  const prefix = { ...header, name: "PaxHeader", link: "", mode: 0o644, uid: 0, gid: 0, mtime: 0, size: body.length };
  return Buffer.concat([ustarBlock(prefix, "x"), body, tarPadding(body.length), main]);
}

/** Zeros that follow a content of this size. */
export function tarPadding(size: number): Uint8Array {
  return ZEROS.subarray(0, paddingOf(size));
}

/** The two empty blocks at the end of an archive. */
export const TAR_END: Uint8Array = new Uint8Array(2 * TAR_BLOCK);

/** For messages: bytes as the text that they most likely are. */
export function shownName(name: string): string {
  return JSON.stringify(Buffer.from(name, "latin1").toString());
}

export const NAME_BYTES = 100;
/** The largest numbers of ustar's fields: 7 and 11 octal digits. */
const SHORT_MAX = 0o7777777;
const LONG_MAX = 0o77777777777;
const ZEROS = new Uint8Array(TAR_BLOCK);
/** A device has no number here: nobody writes one. */
const TYPES: Record<TarKind, string> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  device: "3",
  folder: "5",
  pipe: "6",
};

function ustarBlock(header: TarHeader, type: string): Buffer {
  const block = Buffer.alloc(TAR_BLOCK);
  const octal = (value: number, at: number, digits: number, max: number) =>
    block.write((value < 0 || value > max ? 0 : value).toString(8).padStart(digits, "0"), at, "latin1");
  block.write(header.name.slice(0, NAME_BYTES), 0, "latin1");
  octal(header.mode, 100, 7, SHORT_MAX);
  octal(header.uid, 108, 7, SHORT_MAX);
  octal(header.gid, 116, 7, SHORT_MAX);
  octal(header.size, 124, 11, LONG_MAX);
  octal(header.mtime, 136, 11, LONG_MAX);
  block.write("        ", 148, "latin1");
  block.write(type, 156, "latin1");
  block.write(header.link.slice(0, NAME_BYTES), 157, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  block.write(`${sumOf(block).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** `LENGTH key=value\n`, where LENGTH counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

/** Of a header's bytes, with spaces in the place of the sum itself. */
export function sumOf(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < TAR_BLOCK; at++) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  return sum;
}

export function paddingOf(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
}
