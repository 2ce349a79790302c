/** What a process server is run from: a program of this machine, a package, or a source. */
import { statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { isCodeRef } from "../../model/code.ts";
import type { ServerSpec } from "../../model/server-spec.ts";
import { execProgram } from "../exec-ref.ts";
import { BUN_RUN_FLAGS, isNpmRef } from "../npm/npm.ts";
import { programOf } from "../program.ts";
import { isPypiRef } from "../pypi/ref.ts";
import type { Report } from "../runtime.ts";
import { CodeBuilds } from "./code.ts";
import { NpmCache } from "./npm.ts";
import { PypiPackages } from "./pypi.ts";
import { PythonEnvironments } from "./python.ts";

export interface Program {
  /** The program and what comes before the spec's own arguments. */
  argv: string[];
  env: Record<string, string>;
}

export class Programs {
  private readonly npm: NpmCache;
  private readonly code: CodeBuilds;
  private readonly pypi: PypiPackages;
  private readonly python: PythonEnvironments;

  /** `pythonImage` counts where it is `exec:PROGRAM`. */
  constructor(dataDir: string, pythonImage: string | undefined) {
    this.npm = new NpmCache(join(dataDir, "npm"));
    this.python = new PythonEnvironments(join(dataDir, "pypi"));
    this.pypi = new PypiPackages(join(dataDir, "pypi"), this.python, pythonImage);
    this.code = new CodeBuilds(dataDir, this.python, pythonImage);
  }

  /** Faults: those of the installation, `not-found` for a program that is not there. */
  async prepare(spec: ServerSpec, report: Report, deadline: Deadline): Promise<void> {
    const { image } = spec;
    if (isNpmRef(image)) await this.npm.ensure(image, programOf(spec), report, deadline);
    else if (isPypiRef(image)) await this.pypi.ensure(image, programOf(spec), report, deadline);
    else if (isCodeRef(image)) await this.code.ensure(image, report, deadline);
    else executable(spec);
  }

  /** See `Runtime.identify`. */
  async identify(spec: ServerSpec): Promise<string | undefined> {
    const { image } = spec;
    if (isCodeRef(image)) return (await this.code.installed(image)) && image;
    if (isPypiRef(image)) {
      const found = await this.pypi.installed(image, programOf(spec));
      return found && `pypi ${found.version} ${found.sha256} ${found.folder}`;
    }
    if (!isNpmRef(image)) return programIdentity(executable(spec));
    const found = await this.npm.installed(image, programOf(spec));
    return found && `npm ${found.version} ${found.integrity}`;
  }

  /** Fault `not-found` for what was not prepared. */
  async find(spec: ServerSpec): Promise<Program> {
    const { image } = spec;
    const found = isNpmRef(image)
      ? bunProgram(await this.npm.installed(image, programOf(spec)))
      : isPypiRef(image)
        ? await this.pypiProgram(spec)
        : isCodeRef(image)
          ? await this.codeProgram(image)
          : { argv: [executable(spec)], env: {} };
    if (found) return found;
    throw new Fault("not-found", `${image} is not installed`, { hint: "prepare the server before creating it" });
  }

  /** Removes what interrupted installations have left. */
  async clean(): Promise<void> {
    await this.npm.clean();
    await this.code.clean();
    await this.python.clean();
  }

  private async pypiProgram(spec: ServerSpec): Promise<Program | undefined> {
    const found = await this.pypi.installed(spec.image, programOf(spec));
    const bin = found && join(found.folder, "bin");
    return bin === undefined ? undefined : { argv: [join(bin, found?.program ?? "")], env: pythonEnv(bin) };
  }

  private async codeProgram(image: string): Promise<Program | undefined> {
    const found = await this.code.installed(image);
    if (found?.interpreter === undefined) return bunProgram(found);
    const { interpreter, folder, entry } = found;
    return { argv: [interpreter, join(folder, entry)], env: pythonEnv(join(interpreter, "..")) };
  }
}

function bunProgram(installed: { folder: string; entry: string } | undefined): Program | undefined {
  if (!installed) return undefined;
  const argv = [process.execPath, ...BUN_RUN_FLAGS, join(installed.folder, installed.entry)];
  return { argv, env: { BUN_BE_BUN: "1" } };
}

/** Programs that the server starts by name are those of its own environment first. */
function pythonEnv(bin: string): Record<string, string> {
  return { PATH: `${bin}${delimiter}${process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin"}`, PYTHONUNBUFFERED: "1" };
}

/** Another program under the same path is another one; what it may read beside its own file is its own business. */
function programIdentity(path: string): string {
  const { size, mtimeMs } = statSync(path);
  return `exec ${size} ${mtimeMs}`;
}

/** The file of `exec:PROGRAM`. */
function executable(spec: ServerSpec): string {
  const program = execProgram(spec.image) ?? "";
  // A relative path would mean something else for every manager, by where it was started.
  const path = program.includes("/") && !isAbsolute(program) ? null : Bun.which(program);
  if (path && statSync(path).isFile()) return path;
  throw new Fault("not-found", `there is no program ${program} on this machine`, {
    hint: "write exec:NAME for a program in PATH, or exec:/ABSOLUTE/PATH",
  });
}
