/** Reads a backup as one that may come from anywhere: nothing is passed on that the rules forbid. */
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { gunzip } from "../base/gzip.ts";
import { type TarEntry, type TarHeader, type TarPart, tarHeader, tarPadding } from "../base/tar.ts";
import { readTar } from "../base/tar-read.ts";
import {
  type BackupChecksum,
  type BackupContent,
  backupChecksum,
  type BackupFacts,
  backupFacts,
  Digest,
  FIRST,
  LAST,
} from "./backup.ts";
import { BACKUP_LIMITS, type BackupLimits, BackupRules, RATIO_FREE_BYTES, tooLarge } from "./backup-rules.ts";

const NOTE_BYTES_MAX = 64 * 1024;

export interface BackupReading {
  limits?: BackupLimits;
  /** Take links that lead out of the volume. */
  outwardLinks?: boolean;
}

/** Reads a backup. `parts` ends only when everything was there and the checksum was right; `content` is known then. */
export class BackupReader {
  /** What the archive says of itself; known with the first part. */
  facts: BackupFacts | undefined;
  content: BackupContent | undefined;
  /** Bytes of the gzip file that were read. */
  packedBytes = 0;
  private readonly limits: BackupLimits;
  private readonly rules: BackupRules;
  private readonly digest = new Digest();
  private size = 0;

  constructor(
    private readonly archive: AsyncIterable<Uint8Array>,
    { limits = BACKUP_LIMITS, outwardLinks = false }: BackupReading = {},
  ) {
    this.limits = limits;
    this.rules = new BackupRules(limits, outwardLinks);
  }

  /** The volume's files. Faults: `invalid` for what is no backup, damaged or hostile, `too-large` above the limits. */
  async *parts(): AsyncGenerator<TarPart> {
    const parts = readTar(this.unpacked());
    try {
      this.facts = await this.note(parts, FIRST, backupFacts);
      for await (const part of parts) {
        if (part.kind === "content") this.digest.add(part.bytes);
        else if (part.header.name === LAST) {
          this.content = { ...this.facts, ...(await this.end(parts, part.header)) };
          return;
        } else this.enter(part);
        yield part;
      }
      throw invalid("its checksum is missing");
    } finally {
      await parts.return(undefined);
    }
  }

  private enter(entry: TarEntry): void {
    this.digest.add(tarPadding(this.size));
    this.rules.enter(entry.header);
    this.size = entry.header.size;
    this.digest.add(rawOf(entry));
  }

  private async end(parts: AsyncGenerator<TarPart>, header: TarHeader): Promise<BackupChecksum> {
    this.digest.add(tarPadding(this.size));
    const found = this.digest.end();
    const said = parseNote(backupChecksum, await noteText(parts, header), LAST);
    if (said.sha256 !== found.sha256 || said.tarBytes !== found.tarBytes) {
      throw invalid("its checksum does not fit: it was changed or damaged");
    }
    if (!(await parts.next()).done) throw invalid("it goes on after its checksum");
    const { entries, bytes, outwardLinks } = this.rules;
    if (entries === 0) throw invalid("it has no files");
    return { ...said, entries, bytes, outwardLinks };
  }

  /** The entry that says what the archive is. */
  private async note<S extends v.GenericSchema>(
    parts: AsyncGenerator<TarPart>,
    name: string,
    schema: S,
  ): Promise<v.InferOutput<S>> {
    const first = await parts.next();
    if (first.done || first.value.kind !== "entry" || first.value.header.name !== name) {
      throw new Fault("invalid", "this is no backup of a volume", {
        hint: "`linkspan volume backup` makes one; files of other archives go in through a server",
      });
    }
    const { header } = first.value;
    const text = await noteText(parts, header);
    this.size = header.size;
    this.digest.add(rawOf(first.value));
    this.digest.add(Buffer.from(text));
    return parseNote(schema, text, name);
  }

  /** Unpacked and counted: what unpacks to far more than it is, is no backup of files. */
  private async *unpacked(): AsyncGenerator<Uint8Array> {
    const { bytes: bytesMax, entries, ratio = Number.POSITIVE_INFINITY } = this.limits;
    // Headers and padding are not content.
    const tarBytesMax = bytesMax + entries * 4 * 1024;
    let length = 0;
    for await (const chunk of gunzip(this.packed())) {
      length += chunk.length;
      if (length > tarBytesMax) throw tooLarge(`more than ${bytesMax} bytes`);
      if (length > RATIO_FREE_BYTES && length > ratio * this.packedBytes) {
        throw tooLarge(`files that unpack to more than ${ratio} times the archive's size`);
      }
      yield chunk;
    }
  }

  private async *packed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.archive) {
      this.packedBytes += chunk.length;
      yield chunk;
    }
  }
}

/** Reads a backup and keeps nothing of it. */
export async function checkBackup(archive: AsyncIterable<Uint8Array>, reading?: BackupReading): Promise<BackupContent> {
  const reader = new BackupReader(archive, reading);
  for await (const part of reader.parts()) void part;
  if (!reader.content) throw invalid("its checksum is missing");
  return reader.content;
}

function rawOf({ raw, header }: TarEntry): Uint8Array {
  return raw ?? tarHeader(header);
}

async function noteText(parts: AsyncGenerator<TarPart>, { name, size, kind }: TarHeader): Promise<string> {
  if (kind !== "file" || size > NOTE_BYTES_MAX) throw invalid(`${name} is not what it should be`);
  const chunks: Uint8Array[] = [];
  for (let left = size; left > 0;) {
    const { value } = await parts.next();
    if (value?.kind !== "content") throw invalid("it is cut off");
    chunks.push(value.bytes);
    left -= value.bytes.length;
  }
  return Buffer.concat(chunks).toString();
}

function parseNote<S extends v.GenericSchema>(schema: S, text: string, name: string): v.InferOutput<S> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Fault("invalid", `the backup is refused: ${name} is no JSON`, { cause });
  }
  const parsed = v.safeParse(schema, json);
  if (parsed.success) return parsed.output;
  throw invalid(`${name} is of another version, or damaged`);
}

function invalid(why: string): Fault {
  return new Fault("invalid", `the backup is refused: ${why}`);
}
