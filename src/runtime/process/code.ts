/** Created servers as processes: each source built once, in a folder that has its digest as its name. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Deadline } from "../../base/deadline.ts";
import { CODE_ENTRY, type CodeSource, createdFolder } from "../../model/code.ts";
import { idOfCode, keepVersions, readSource } from "../code-source.ts";
import { type CodeInstalled, installCode } from "../npm/code.ts";
import { requirementsOf, versionsFound } from "../pypi/code.ts";
import type { Report } from "../runtime.ts";
import { identify } from "./identity.ts";
import { type PythonEnvironments, pythonProgram } from "./python.ts";

/** What the folder of a build that is under way begins with; its process's number follows. */
const DRAFT = ".draft-";
/** Kept; what nobody has started for the longest time goes first. */
const BUILDS_MAX = 32;
/** In the build of a Python server: which Python runs it. */
const INTERPRETER = "interpreter";

export class CodeBuilds {
  private readonly root: string;

  constructor(
    private readonly dataDir: string,
    private readonly environments: PythonEnvironments,
    private readonly python: string | undefined,
  ) {
    this.root = join(createdFolder(dataDir), "builds");
  }

  /** Faults: those of `installCode`. */
  async ensure(image: string, report: Report, deadline: Deadline): Promise<void> {
    const id = idOfCode(image);
    const folder = join(this.root, id);
    if (await this.installed(image)) return utimes(folder, new Date(), new Date());
    // One whose Python is gone.
    await rm(folder, { recursive: true, force: true });
    const source = await readSource(this.dataDir, id);
    await this.trim();
    const draft = join(this.root, `${DRAFT}${process.pid}-${crypto.randomUUID()}`);
    try {
      if (source.language === "python") await this.installPython(id, source, draft, report, deadline);
      else await installCode(this.dataDir, id, source, draft, report, deadline);
      // Somebody else may have been faster; then his is as good.
      await rename(draft, folder).catch(() => {});
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }

  /** `interpreter`: the Python that runs it; the Bun in this executable where absent. */
  async installed(image: string): Promise<(CodeInstalled & { interpreter?: string }) | undefined> {
    const folder = join(this.root, idOfCode(image));
    const entry = Object.values(CODE_ENTRY).find((name) => existsSync(join(folder, name)));
    if (entry === undefined) return undefined;
    if (entry !== CODE_ENTRY.python) return { folder, entry };
    const interpreter = await readFile(join(folder, INTERPRETER), "utf8").catch(() => "");
    return existsSync(interpreter) ? { folder, entry, interpreter } : undefined;
  }

  private async installPython(
    id: string,
    source: CodeSource,
    folder: string,
    report: Report,
    deadline: Deadline,
  ): Promise<void> {
    const python = pythonProgram(source.base ?? this.python);
    const requirements = requirementsOf(source);
    const wish = { requirements, lock: source.lock, system: true };
    const made = requirements.length > 0 ? await this.environments.ensure(python, wish, report, deadline) : undefined;
    const versions = made && versionsFound(source, made.answer);
    if (versions && source.lock === undefined) await keepVersions(this.dataDir, id, versions);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(join(folder, CODE_ENTRY.python), source.code);
    await writeFile(join(folder, INTERPRETER), made ? join(made.folder, "bin/python") : python);
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
