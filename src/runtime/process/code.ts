/** Created servers as processes: each source built once, in a folder that has its digest as its name. */
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Deadline } from "../../base/deadline.ts";
import { CODE_ENTRY, createdFolder } from "../../model/code.ts";
import { type CodeInstalled, idOfCode, installCode } from "../npm/code.ts";
import type { Report } from "../runtime.ts";
import { identify } from "./identity.ts";

/** What the folder of a build that is under way begins with; its process's number follows. */
const DRAFT = ".draft-";
/** Kept; what nobody has started for the longest time goes first. */
const BUILDS_MAX = 32;

export class CodeBuilds {
  private readonly root: string;

  constructor(private readonly dataDir: string) {
    this.root = join(createdFolder(dataDir), "builds");
  }

  /** Faults: those of `installCode`. */
  async ensure(image: string, report: Report, deadline: Deadline): Promise<void> {
    const id = idOfCode(image);
    const folder = join(this.root, id);
    if (existsSync(folder)) return utimes(folder, new Date(), new Date());
    await this.trim();
    const draft = join(this.root, `${DRAFT}${process.pid}-${crypto.randomUUID()}`);
    try {
      await installCode(this.dataDir, id, draft, report, deadline);
      // Somebody else may have been faster; then his is as good.
      await rename(draft, folder).catch(() => {});
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }

  async installed(image: string): Promise<CodeInstalled | undefined> {
    const folder = join(this.root, idOfCode(image));
    const entry = Object.values(CODE_ENTRY).find((name) => existsSync(join(folder, name)));
    return entry === undefined ? undefined : { folder, entry };
  }

  /** Removes what interrupted builds have left. */
  async clean(): Promise<void> {
    const names = await readdir(this.root).catch(() => []);
    for (const name of names.filter((found) => found.startsWith(DRAFT))) {
      const maker = Number(name.slice(DRAFT.length).split("-")[0]);
      if (maker !== process.pid && maker > 1 && identify(maker)) continue;
      await rm(join(this.root, name), { recursive: true, force: true });
    }
  }

  private async trim(): Promise<void> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    const names = (await readdir(this.root)).filter((name) => !name.startsWith("."));
    const dated = await Promise.all(
      names.map(async (name) => ({ name, at: (await stat(join(this.root, name))).mtimeMs })),
    );
    const old = dated.toSorted((a, b) => b.at - a.at).slice(BUILDS_MAX);
    for (const { name } of old) await rm(join(this.root, name), { recursive: true, force: true });
  }
}
