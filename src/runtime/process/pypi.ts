/** Python packages as process servers: which version a reference means, and the environment that has it. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { Locks } from "../locks.ts";
import { chooseProgram } from "../pypi/program.ts";
import { normalName, parsePypiRef, type PypiRef, requirementOf } from "../pypi/ref.ts";
import type { Report } from "../runtime.ts";
import { type PythonEnvironments, pythonProgram } from "./python.ts";

/** An index that says nothing for this long counts as out of reach. */
const RESOLVE_MS = 30_000;

/** What an index has said holds for so long. */
const MEANT_MS = 600_000;

const meant = v.object({ version: v.string() });

export interface PypiInstalled {
  /** The environment's folder. */
  folder: string;
  /** In its `bin`. */
  program: string;
  version: string;
  sha256: string;
}

export class PypiPackages {
  private readonly locks = new Locks();
  /** By reference: the version that the index named last. */
  private readonly said = new Map<string, { version: string; /** `performance.now()`. */ at: number }>();

  constructor(
    private readonly root: string,
    private readonly environments: PythonEnvironments,
    private readonly python: string | undefined,
  ) {}

  /**
   * The package, installed. An exact version that is there already needs no network; else the index is asked, and where it
   * is out of reach, what the reference meant last time is taken. Faults: those of the installation and of `chooseProgram`.
   */
  async ensure(image: string, program: string | undefined, report: Report, deadline: Deadline): Promise<PypiInstalled> {
    const ref = parsePypiRef(image);
    const version = ref.exact
      ? ref.want
      : await this.locks.run(image, deadline, () => this.resolve(image, ref, report, deadline));
    const python = pythonProgram(this.python);
    const { folder, answer } = await this.environments.ensure(python, wishFor(ref, version), report, deadline);
    await this.remember(image, version);
    return {
      folder,
      program: chooseProgram(ref.package, answer.programs, program),
      ...archiveOf(ref, version, answer),
    };
  }

  /** What the reference meant last time, if that is installed. Needs no network. */
  async installed(image: string, program: string | undefined): Promise<PypiInstalled | undefined> {
    const ref = parsePypiRef(image);
    const version = ref.exact ? ref.want : await this.remembered(image);
    const wish = version === undefined ? undefined : wishFor(ref, version);
    const found = wish && (await this.environments.find(pythonProgram(this.python), wish));
    if (!found || version === undefined) return undefined;
    const { folder, answer } = found;
    return {
      folder,
      program: chooseProgram(ref.package, answer.programs, program),
      ...archiveOf(ref, version, answer),
    };
  }

  private async resolve(image: string, ref: PypiRef, report: Report, deadline: Deadline): Promise<string> {
    const before = this.said.get(image);
    if (before && performance.now() - before.at < MEANT_MS) return before.version;
    try {
      const within = deadline.within(RESOLVE_MS);
      const python = pythonProgram(this.python);
      const version = await this.environments.resolve(python, requirementOf(ref), report, within);
      this.said.set(image, { version, at: performance.now() });
      return version;
    } catch (thrown) {
      const fault = Fault.from(thrown);
      const known = await this.remembered(image);
      if (!known || deadline.passed || (fault.kind !== "unreachable" && fault.kind !== "timeout")) throw fault;
      report({ step: "resolve", detail: `${fault.message}; using ${ref.package} ${known} as before` });
      return known;
    }
  }

  private async remembered(image: string): Promise<string | undefined> {
    const text = await readFile(this.refFile(image), "utf8").catch(() => undefined);
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), meant), text);
    return parsed.success ? parsed.output.version : undefined;
  }

  private async remember(image: string, version: string): Promise<void> {
    const file = this.refFile(image);
    await mkdir(join(this.root, "refs"), { recursive: true, mode: 0o700 });
    const draft = `${file}.${crypto.randomUUID()}`;
    await writeFile(draft, JSON.stringify({ version }), { mode: 0o600 });
    await rename(draft, file);
  }

  private refFile(image: string): string {
    return join(this.root, "refs", `${createHash("sha256").update(image).digest("hex").slice(0, 32)}.json`);
  }
}

function wishFor(ref: PypiRef, version: string) {
  const requirements = [requirementOf({ ...ref, want: version, exact: true }), ...ref.others];
  return { requirements, package: ref.package, system: false };
}

function archiveOf(ref: PypiRef, version: string, { packages }: { packages: { name: string; sha256: string }[] }) {
  return { version, sha256: packages.find(({ name }) => normalName(name) === ref.package)?.sha256 ?? "" };
}
