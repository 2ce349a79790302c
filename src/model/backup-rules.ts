/**
 * What the files of a volume may look like in a backup. The same rules when it is written and when it is read: what
 * breaks them comes from somebody else.
 */
import { Fault } from "../base/fault.ts";
import { shownName, type TarHeader } from "../base/tar.ts";

/** The folder in the archive that is the volume. */
export const BACKUP_ROOT = "volume/";

/** Begins the name of a folder in a volume's root in which a restore's files wait. It is in no backup. */
export const BACKUP_STAGE = ".linkspan-restore-";

export interface BackupLimits {
  /** Files, folders and links. */
  entries: number;
  /** Content of all files, bytes. */
  bytes: number;
  /** Unpacked to packed, looked at after the first `RATIO_FREE_BYTES`; no limit when absent. */
  ratio?: number;
}

/** Unless somebody asks for more. A ratio of 200 is reached by files of zeros, and by nothing that is worth keeping. */
export const BACKUP_LIMITS: BackupLimits = { entries: 1_000_000, bytes: 64 * 1024 ** 3, ratio: 200 };
/** So much unpacks whatever it was packed to: the disk bears it. */
export const RATIO_FREE_BYTES = 1024 ** 3;

/** Linux: PATH_MAX and NAME_MAX, in bytes. */
const PATH_BYTES_MAX = 4096;
const NAME_BYTES_MAX = 255;
/** What Linux calls -1 means `nobody said`. */
const ID_MAX = 2 ** 32 - 2;

interface OpenFolder {
  name: string;
  /** The latest name in it. */
  last: string;
}

/**
 * Follows the entries of one archive. They come as a walk through a tree, each folder before what is in it and names in
 * byte order: so nothing comes twice, and nothing lies behind a link, without a list of all names.
 */
export class BackupRules {
  entries = 0;
  bytes = 0;
  /** Symbolic links that lead, or may lead, out of the volume. */
  outwardLinks = 0;
  private open: OpenFolder[] = [];
  private readonly files = new FileNames();

  constructor(
    private readonly limits: BackupLimits,
    /** Whether symbolic links may lead out of the volume. */
    private readonly outward: boolean,
  ) {}

  /** Faults: `invalid` for what breaks the rules, `too-large` for what exceeds the limits. */
  enter(header: TarHeader): void {
    this.place(header);
    this.entries += 1;
    this.bytes += header.size;
    if (this.entries > this.limits.entries) throw tooLarge(`more than ${this.limits.entries} files`);
    if (this.bytes > this.limits.bytes) throw tooLarge(`more than ${this.limits.bytes} bytes`);
    const name = shownPath(header.name);
    if (header.uid > ID_MAX || header.gid > ID_MAX) throw refused(`${name} has an owner that cannot be`);
    switch (header.kind) {
      case "file":
        this.files.add(header.name);
        break;
      case "folder":
        this.open.push({ name: header.name, last: "" });
        break;
      case "hardlink":
        if (!this.hasFile(header.link)) throw refused(`${name} is a hard link to a file that is not before it`);
        break;
      case "symlink":
        this.link(header, name);
        break;
      default:
        throw refused(`${name} is a ${header.kind}`);
    }
  }

  hasFile(name: string): boolean {
    return this.files.has(name);
  }

  private place({ name, kind }: TarHeader): void {
    const path = kind === "folder" ? name.slice(0, -1) : name;
    const slash = path.lastIndexOf("/");
    const [folder, last] = [path.slice(0, slash + 1), path.slice(slash + 1)];
    if (this.entries === 0) {
      if (name === BACKUP_ROOT && kind === "folder") return;
      throw refused("it does not begin with the volume's own folder");
    }
    if (path.length > PATH_BYTES_MAX || last.length > NAME_BYTES_MAX) throw refused("a name is longer than Linux has");
    if (path.startsWith(BACKUP_ROOT + BACKUP_STAGE)) throw refused(`${shownPath(name)} is a name of Linkspan's own`);
    if (last === "" || last === "." || last === ".." || path.includes("\0")) {
      throw refused(`${shownPath(name)} is no name of a file`);
    }
    while (this.open.length > 0 && this.open.at(-1)?.name !== folder) this.open.pop();
    const parent = this.open.at(-1);
    if (!parent) throw refused(`${shownPath(name)} is not in a folder of the archive, or not in its order`);
    if (last <= parent.last) throw refused(`${shownPath(name)} comes twice, or not in its order`);
    parent.last = last;
  }

  private link({ name, link }: TarHeader, shown: string): void {
    if (link === "" || link.length >= PATH_BYTES_MAX || link.includes("\0")) throw refused(`${shown} leads nowhere`);
    if (!leadsOut(name, link)) return;
    this.outwardLinks += 1;
    if (this.outward) return;
    throw new Fault(
      "invalid",
      `the backup is refused: the link ${shown} leads out of the volume, to ${shownName(link)}`,
      {
        hint: "restore it with --outward-links if the server needs it so",
      },
    );
  }
}

/**
 * Whether a symbolic link can lead out of the volume. `..` is followed only at the beginning: behind a name it goes up
 * from wherever another link has led to.
 */
export function leadsOut(name: string, link: string): boolean {
  if (link.startsWith("/")) return true;
  const parts = link.split("/").filter((part) => part !== "" && part !== ".");
  const down = parts.findIndex((part) => part !== "..");
  const ups = down < 0 ? parts.length : down;
  // Without the volume's own folder and the link's name.
  const depth = name.split("/").length - 2;
  return ups > depth || parts.slice(ups).includes("..");
}

/** A path in the archive as the one in the volume, for messages. */
export function shownPath(name: string): string {
  return shownName(name.startsWith(BACKUP_ROOT) ? name.slice(BACKUP_ROOT.length) || "/" : name);
}

function refused(why: string): Fault {
  return new Fault("invalid", `the backup is refused: ${why}`);
}

export function tooLarge(what: string): Fault {
  return new Fault("too-large", `the backup has ${what}`, { hint: "--max-size SIZE allows more" });
}

/** 53 bits of each name in place of the name: a hard link to a file that is not there fails in the engine as well. */
class FileNames {
  private readonly seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  private readonly hashes = new Set<number>();

  add(name: string): void {
    this.hashes.add(this.hash(name));
  }

  has(name: string): boolean {
    return this.hashes.has(this.hash(name));
  }

  private hash(name: string): number {
    return Number(BigInt.asUintN(53, BigInt(Bun.hash(name, this.seed))));
  }
}
