/**
 * Python packages for process servers: virtual environments in the data directory, each made once by this machine's own
 * Python, with this user's pip settings. An environment cannot be moved, so it is made where it stays; a small file that is
 * written last says that there is one.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { readLines } from "../lines.ts";
import { Locks } from "../locks.ts";
import {
  INSTALLER,
  lockOf,
  type PythonAnswer,
  pythonAnswer,
  type PythonRequest,
  type PythonWish,
  readAnswer,
  Said,
} from "../pypi/installer.ts";
import { digest } from "../pypi/ref.ts";
import { pipSettings } from "../pypi/settings.ts";
import type { Report } from "../runtime.ts";
import { temporaryFolder } from "../temporary.ts";
import { FAMILY_VARIABLE, helperMark, identify } from "./identity.ts";

/** No installation goes on for longer, also when nobody waits any more. */
const INSTALL_S = 900;

const written = v.object({ folder: v.string(), answer: pythonAnswer });

export interface PythonEnvironment {
  /** Absolute. */
  folder: string;
  answer: PythonAnswer;
}

export class PythonEnvironments {
  private readonly locks = new Locks();

  constructor(private readonly root: string) {}

  /** The environment that fulfils the wish, if there is one. Needs no network. */
  async find(python: string, wish: Omit<PythonWish, "action">): Promise<PythonEnvironment | undefined> {
    const text = await readFile(this.fileOf(python, wish), "utf8").catch(() => undefined);
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), written), text);
    if (!parsed.success) return undefined;
    const folder = join(this.root, parsed.output.folder);
    // Links to a Python that was removed lead nowhere.
    const works = await Bun.file(join(folder, "bin/python")).exists();
    return works ? { folder, answer: parsed.output.answer } : undefined;
  }

  /** Made where there is none; one at a time for each wish. Faults: those of `Said`, `timeout`. */
  async ensure(
    python: string,
    wish: Omit<PythonWish, "action">,
    report: Report,
    deadline: Deadline,
  ): Promise<PythonEnvironment> {
    const file = this.fileOf(python, wish);
    return await this.locks.run(file, deadline, async () => {
      const found = await this.find(python, wish);
      if (found) return found;
      await mkdir(this.root, { recursive: true, mode: 0o700 });
      const name = `${(wish.package ?? "packages").slice(0, 60)}-${process.pid}-${crypto.randomUUID()}`;
      const folder = join(this.root, name);
      try {
        const answer = await runInstaller(python, { ...wish, action: "install" }, folder, report, deadline);
        // Whoever wants exactly these versions later, as saved servers do, finds them here.
        const files = new Set([file, this.fileOf(python, { ...wish, lock: wish.lock ?? lockOf(answer) })]);
        for (const one of files) await writeWhole(one, JSON.stringify({ folder: name, answer }));
        return { folder, answer };
      } catch (error) {
        await rm(folder, { recursive: true, force: true });
        throw error;
      }
    });
  }

  /** What a requirement means now, asked of the index. */
  async resolve(python: string, requirement: string, report: Report, deadline: Deadline): Promise<string> {
    const wish = { action: "resolve", requirements: [requirement], system: false } as const;
    const [found] = (await runInstaller(python, wish, "", report, deadline)).packages;
    if (found) return found.version;
    throw new Fault("not-found", `the package index does not say which version ${requirement} is`);
  }

  /** Removes what interrupted installations have left, and what another manager has made at the same time. */
  async clean(): Promise<void> {
    const names = await readdir(this.root).catch((): string[] => []);
    const files = names.filter((name) => name.endsWith(ENDING));
    const texts = await Promise.all(files.map((name) => readFile(join(this.root, name), "utf8").catch(() => "")));
    for (const name of names) {
      const [, maker] = /-(\d+)-[0-9a-f]{8}-[0-9a-f-]{27}$/.exec(name) ?? [];
      if (maker === undefined || texts.some((text) => text.includes(`"${name}"`))) continue;
      if (Number(maker) !== process.pid && Number(maker) > 1 && identify(Number(maker))) continue;
      await rm(join(this.root, name), { recursive: true, force: true });
    }
  }

  private fileOf(python: string, { requirements, lock = "", package: name = "", system }: Omit<PythonWish, "action">) {
    const asked = lock === "" ? requirements : [lock];
    return join(this.root, `${digest(python, name, String(system), ...asked)}${ENDING}`);
  }
}

const ENDING = ".json";

/** The interpreter: `python3` of PATH, or `exec:PROGRAM`. Fault `not-found` where there is none. */
export function pythonProgram(base: string | undefined): string {
  const program = base?.startsWith("exec:") ? base.slice("exec:".length) : "python3";
  const found = Bun.which(program);
  if (found) return found;
  throw new Fault("not-found", `there is no ${program} on this machine`, {
    hint: "install Python 3 with its modules venv and pip, or name one: LINKSPAN_PYTHON_IMAGE=exec:/ABSOLUTE/PATH",
  });
}

async function runInstaller(
  python: string,
  wish: PythonWish,
  folder: string,
  report: Report,
  deadline: Deadline,
): Promise<PythonAnswer> {
  const subject = wish.requirements.join(", ");
  report({ step: wish.action, detail: subject });
  const work = await temporaryFolder("python");
  try {
    const answer = join(work, "answer.json");
    const seconds = Math.min(INSTALL_S, Math.ceil(deadline.remainingMs / 1000));
    // pip reads this user's settings itself; where they say nothing of patience, ours is shorter than its own.
    const { PIP_TIMEOUT = "", PIP_RETRIES = "" } = pipSettings(work).environment;
    const environment = { PIP_TIMEOUT, PIP_RETRIES };
    const request: PythonRequest = { ...wish, folder, work, answer, seconds, environment };
    await writeFile(join(work, "install.py"), INSTALLER);
    await writeFile(join(work, "request.json"), JSON.stringify(request), { mode: 0o600 });
    const command = [python, "-I", join(work, "install.py"), join(work, "request.json")];
    const self = identify(process.pid);
    const env = { ...process.env, ...(self ? { [FAMILY_VARIABLE]: helperMark(self) } : {}) };
    const child = Bun.spawn(command, {
      cwd: work,
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
    });
    const said = new Said(subject, report);
    const hear = (line: string) => said.hear(line);
    const ended = Promise.all([readLines(child.stdout, hear), readLines(child.stderr, hear), child.exited]);
    try {
      const [, , code] = await deadline.race(`installing ${subject}`, ended);
      if (code !== 0) throw said.fault();
      return readAnswer(await readFile(answer, "utf8"));
    } finally {
      // pip is its child.
      endGroup(child.pid);
      ended.catch(() => {});
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  const draft = `${file}.${crypto.randomUUID()}`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, file);
}

function endGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // It has ended.
  }
}
