/** npm packages for process servers: each version installed once, in a folder named by what is in it. */
import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { installNpm, type NpmInstalled, type NpmVersion, parseNpmRef, readInstalled, resolveNpm } from "../npm/npm.ts";
import type { Report } from "../runtime.ts";
import { identify } from "./identity.ts";

/** A registry that says nothing for this long counts as out of reach. */
const RESOLVE_MS = 15_000;

const DIGEST_CHARS = 12;
/** What the folder of an installation that is under way begins with; its process's number follows. */
const DRAFT = ".draft-";

const npmVersion = v.object({ package: v.string(), version: v.string(), integrity: v.string() });

export class NpmCache {
  constructor(private readonly root: string) {}

  /**
   * The package, installed. An exact version that is there already needs no network; for a tag or a range the registry
   * is asked, and where it is out of reach, what the reference meant last time is taken. Faults: those of npm.ts.
   */
  async ensure(image: string, bin: string | undefined, report: Report, deadline: Deadline): Promise<NpmInstalled> {
    const known = await this.installed(image, bin);
    if (known && parseNpmRef(image).exact) return known;
    const version = await this.resolve(image, known, report, deadline);
    const installed = await this.install(version, bin, report, deadline);
    await this.remember(image, version);
    return installed;
  }

  /** What the reference meant last time, if that is installed. Needs no network. */
  async installed(image: string, bin: string | undefined): Promise<NpmInstalled | undefined> {
    const ref = parseNpmRef(image);
    const remembered = await readVersion(this.refFile(image));
    if (remembered) return readInstalled(this.folder(remembered), bin);
    if (!ref.exact) return undefined;
    // Another reference may have installed this version already.
    const names = await readdir(this.root).catch(() => []);
    const prefix = `${folderName(ref.package, ref.want)}-`;
    // By length as well: 1.0.0-beta begins like 1.0.0 and a digest.
    const found = names.find((name) => name.startsWith(prefix) && name.length === prefix.length + DIGEST_CHARS);
    return found === undefined ? undefined : readInstalled(join(this.root, found), bin);
  }

  private async resolve(
    image: string,
    known: NpmVersion | undefined,
    report: Report,
    deadline: Deadline,
  ): Promise<NpmVersion> {
    try {
      return await resolveNpm(parseNpmRef(image), report, deadline.within(RESOLVE_MS));
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (!known || deadline.passed || (fault.kind !== "unreachable" && fault.kind !== "timeout")) throw fault;
      report({ step: "resolve", detail: `${fault.message}; using ${known.package}@${known.version} as before` });
      return known;
    }
  }

  private async install(
    version: NpmVersion,
    bin: string | undefined,
    report: Report,
    deadline: Deadline,
  ): Promise<NpmInstalled> {
    const folder = this.folder(version);
    const before = await readInstalled(folder, bin);
    if (before) return before;
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    const draft = join(this.root, `${DRAFT}${process.pid}-${crypto.randomUUID()}`);
    try {
      await installNpm(version, draft, report, deadline, bin === undefined ? {} : { bin });
      // Somebody else may have been faster with the same version; then his is as good.
      await rename(draft, folder).catch(() => {});
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    const after = await readInstalled(folder, bin);
    if (after) return after;
    throw new Fault("internal", `${version.package}@${version.version} was installed, but is not in ${folder}`);
  }

  private folder({ package: name, version, integrity }: NpmVersion): string {
    const digest = createHash("sha256").update(integrity).digest("hex").slice(0, DIGEST_CHARS);
    return join(this.root, `${folderName(name, version)}-${digest}`);
  }

  private async remember(image: string, { package: name, version, integrity }: NpmVersion): Promise<void> {
    const file = this.refFile(image);
    const draft = `${file}.${crypto.randomUUID()}`;
    await Bun.write(draft, JSON.stringify({ package: name, version, integrity }));
    await rename(draft, file);
  }

  private refFile(image: string): string {
    return join(this.root, "refs", `${createHash("sha256").update(image).digest("hex").slice(0, 32)}.json`);
  }

  /** Removes what interrupted installations have left. */
  async clean(): Promise<void> {
    const names = await readdir(this.root).catch(() => []);
    for (const name of names.filter((found) => found.startsWith(DRAFT))) {
      // The folder is shared: another manager may be in the middle of an installation.
      const maker = Number(name.slice(DRAFT.length).split("-")[0]);
      if (maker !== process.pid && maker > 1 && identify(maker)) continue;
      await rm(join(this.root, name), { recursive: true, force: true });
    }
  }
}

/** `+` is in no package's name, so no two packages share a folder. */
function folderName(name: string, version: string): string {
  return `${name.replace("/", "+")}@${version}`;
}

async function readVersion(file: string): Promise<NpmVersion | undefined> {
  const parsed = v.safeParse(
    npmVersion,
    await Bun.file(file)
      .json()
      .catch(() => undefined),
  );
  return parsed.success ? parsed.output : undefined;
}
