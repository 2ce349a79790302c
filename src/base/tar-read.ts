/** The reading half of tar.ts: strict, because what it reads may come from anywhere. */
import { Fault } from "./fault.ts";
import {
  NAME_BYTES,
  paddingOf,
  shownName,
  sumOf,
  TAR_BLOCK,
  type TarEntry,
  type TarHeader,
  type TarKind,
  type TarPart,
} from "./tar.ts";

/** Of one pax header or GNU long name. Linux has paths of 4 KiB; extended attributes of 64 KiB come along unread. */
const EXTENSION_BYTES_MAX = 1024 * 1024;
/** Zeros after the end: programs fill up to their record size. */
const TRAILER_BYTES_MAX = 1024 * 1024;

const TYPE_AT = 156;
/** Headers that add to the next one: pax for one entry and for all, GNU's long name and long link. */
const EXTENSIONS = new Set(["x", "g", "L", "K"]);
/** Blocks and bodies of those before one entry. */
const EXTENSIONS_MAX = 12;

const KINDS: Record<string, TarKind> = {
  "\0": "file",
  "0": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "device",
  "4": "device",
  "5": "folder",
  "6": "pipe",
};

/** Every entry of an archive. Faults: `invalid` where it is damaged, cut off, or of a form that is not read. */
export async function* readTar(archive: AsyncIterable<Uint8Array>): AsyncGenerator<TarPart> {
  const source = new Source(archive);
  try {
    while (true) {
      const entry = await nextEntry(source);
      if (!entry) return await endOf(source);
      yield entry;
      for (let left = entry.header.size; left > 0;) {
        const bytes = await source.some(left);
        left -= bytes.length;
        yield { kind: "content", bytes };
      }
      await padding(source, entry.header.size);
    }
  } finally {
    await source.close();
  }
}

/** The headers that belong together, as one; undefined at the end. */
async function nextEntry(source: Source): Promise<TarEntry | undefined> {
  let extension: Extension = {};
  const raw: Buffer[] = [];
  while (true) {
    const block = await source.exactly(TAR_BLOCK);
    if (block.every((byte) => byte === 0)) {
      if (raw.length > 0) throw damaged("it ends within an entry");
      return undefined;
    }
    checkSum(block);
    raw.push(block);
    const type = String.fromCharCode(block[TYPE_AT] ?? 0);
    const size = number(block, 124, 12);
    if (!EXTENSIONS.has(type)) {
      const header = headerOf(block, type, size, extension);
      const attributes = extension.attributes === true;
      return { kind: "entry", header, attributes, raw: raw.length === 1 ? block : Buffer.concat(raw) };
    }
    if (size > EXTENSION_BYTES_MAX || raw.length > EXTENSIONS_MAX) throw damaged("a header that is too long");
    const body = await source.exactly(size);
    raw.push(body, await padding(source, size));
    // What a global header (`g`) says is of no use here: none of it is a name, a size or an owner.
    if (type === "x") extension = { ...extension, ...paxRecords(body) };
    else if (type !== "g") extension = { ...extension, ...longName(type, body) };
  }
}

interface Extension {
  path?: string;
  linkpath?: string;
  size?: number;
  uid?: number;
  gid?: number;
  mtime?: number;
  attributes?: boolean;
}

function headerOf(block: Buffer, type: string, plainSize: number, extension: Extension): TarHeader {
  const kind = KINDS[type];
  if (!kind) throw damaged(`an entry of the unknown type ${shownName(type)}`);
  // The prefix is POSIX's; GNU's format has other things at that place.
  const prefix = text(block, 257, 6) === "ustar" ? text(block, 345, 155) : "";
  const plain = text(block, 0, NAME_BYTES);
  const name = extension.path ?? (prefix ? `${prefix}/${plain}` : plain);
  const link = extension.linkpath ?? text(block, 157, NAME_BYTES);
  const size = extension.size ?? plainSize;
  if (kind !== "file" && size !== 0) throw damaged(`${shownName(name)} is no file and has content`);
  return {
    name: kind === "folder" && !name.endsWith("/") ? `${name}/` : name,
    kind,
    mode: number(block, 100, 8) & 0o7777,
    uid: extension.uid ?? number(block, 108, 8),
    gid: extension.gid ?? number(block, 116, 8),
    size,
    mtime: extension.mtime ?? number(block, 136, 12),
    link: kind === "symlink" || kind === "hardlink" ? link : "",
  };
}

function paxRecords(body: Buffer): Extension {
  const found: Extension = {};
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const length = Number(space < 0 ? Number.NaN : body.toString("latin1", at, space));
    const record = body.toString("latin1", space + 1, at + length);
    const equals = record.indexOf("=");
    if (!(length > 0) || at + length > body.length || equals < 1 || !record.endsWith("\n")) {
      throw damaged("a pax header that cannot be read");
    }
    addRecord(found, record.slice(0, equals), record.slice(equals + 1, -1));
    at += length;
  }
  return found;
}

function addRecord(found: Extension, key: string, value: string): void {
  switch (key) {
    case "path":
    case "linkpath":
      if (value.includes("\0")) throw damaged("a name with a NUL");
      found[key] = value;
      break;
    case "size":
    case "uid":
    case "gid":
      if (!/^\d{1,15}$/.test(value)) throw damaged(`the pax value ${key} is no number`);
      found[key] = Number(value);
      break;
    case "mtime":
      if (!/^-?\d{1,15}(\.\d*)?$/.test(value)) throw damaged("the pax value mtime is no time");
      found.mtime = Math.floor(Number(value));
      break;
    default:
      if (key.startsWith("GNU.sparse.")) throw damaged("a sparse file in GNU's own form");
      if (key.startsWith("SCHILY.xattr.") || key.startsWith("LIBARCHIVE.xattr.")) found.attributes = true;
  }
}

function longName(type: string, body: Buffer): Extension {
  const name = text(body, 0, body.length);
  return type === "L" ? { path: name } : { linkpath: name };
}

async function padding(source: Source, size: number): Promise<Buffer> {
  const zeros = await source.exactly(paddingOf(size));
  if (zeros.some((byte) => byte !== 0)) throw damaged("something between its entries");
  return zeros;
}

/** After the first empty block there is nothing but zeros. */
async function endOf(source: Source): Promise<void> {
  for (let length = 0; ;) {
    const bytes = await source.rest();
    if (!bytes) return;
    length += bytes.length;
    if (length > TRAILER_BYTES_MAX || bytes.some((byte) => byte !== 0)) throw damaged("something after its end");
  }
}

function checkSum(block: Buffer): void {
  if (number(block, 148, 8) !== sumOf(block)) throw damaged("a header with a wrong checksum");
}

/** Up to the first NUL. */
function text(block: Buffer, at: number, length: number): string {
  const end = block.subarray(at, at + length).indexOf(0);
  return block.toString("latin1", at, at + (end < 0 ? length : end));
}

/** Octal digits, or GNU's big-endian bytes after 0x80. */
function number(block: Buffer, at: number, length: number): number {
  if ((block[at] ?? 0) & 0x80) {
    let value = (block[at] ?? 0) & 0x7f;
    for (let next = at + 1; next < at + length; next++) value = value * 256 + (block[next] ?? 0);
    if (!Number.isSafeInteger(value)) throw damaged("a number that is too large");
    return value;
  }
  const digits = text(block, at, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw damaged("a header with a number that is none");
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

function damaged(what: string): Fault {
  return new Fault("invalid", `the archive is damaged or of an unknown form: ${what}`);
}

const EMPTY = new Uint8Array(0);

/** Bytes of a stream in the sizes that are asked for. */
class Source {
  private readonly iterator: AsyncIterator<Uint8Array>;
  private held: Uint8Array = EMPTY;

  constructor(archive: AsyncIterable<Uint8Array>) {
    this.iterator = archive[Symbol.asyncIterator]();
  }

  /** Fault `invalid` where fewer are left. Copied only where they come in several pieces. */
  async exactly(length: number): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0);
    const first = await this.some(length);
    if (first.length === length) return Buffer.from(first.buffer, first.byteOffset, length);
    const whole = Buffer.alloc(length);
    whole.set(first);
    for (let have = first.length; have < length;) {
      const more = await this.some(length - have);
      whole.set(more, have);
      have += more.length;
    }
    return whole;
  }

  /** What has come, at least one byte and at most `max`. */
  async some(max: number): Promise<Uint8Array> {
    if (this.held.length === 0) this.held = (await this.rest()) ?? EMPTY;
    if (this.held.length === 0) throw damaged("it is cut off");
    const bytes = this.held.subarray(0, max);
    this.held = this.held.subarray(bytes.length);
    return bytes;
  }

  /** The next piece, whatever its size; undefined at the end. */
  async rest(): Promise<Uint8Array | undefined> {
    const { held } = this;
    this.held = EMPTY;
    if (held.length > 0) return held;
    while (true) {
      const next = await this.iterator.next();
      if (next.done) return undefined;
      if (next.value.length > 0) return next.value;
    }
  }

  async close(): Promise<void> {
    await this.iterator.return?.();
  }
}
