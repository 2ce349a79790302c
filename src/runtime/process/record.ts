/**
 * What is on disk of a server that runs as a process: one folder per instance in `DATA/process`, each file written
 * whole or not at all, so that a manager that knows nothing finds everything again.
 *
 *     record.json  what to run and whose it is; written once, before the folder gets its name
 *     run.json     by the shim: who runs, since when
 *     exit.json    by the shim: how that run ended
 *     health.json  by the shim: what the last health checks said
 *     port         by the bridge: HOST:PORT
 *     log, log.1   the server's stderr and the bridge's own lines (process-log.ts)
 *     tmp, work    TMPDIR and working directory of the server
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { Fault, isScarcity } from "../../base/fault.ts";
import { processIdentity } from "./identity.ts";

const texts = v.record(v.string(), v.string());
const ms = v.pipe(v.number(), v.minValue(0));

const processPlan = v.object({
  argv: v.pipe(v.array(v.string()), v.minLength(1)),
  /** Environment of the server beside the minimal one; secrets are never here. */
  env: texts,
  /** The folder `work` where absent. */
  cwd: v.optional(v.string()),
  messageBytes: v.number(),
  /** The bridge's budget for its own stop. */
  stopMs: ms,
  /** 0: none. */
  leaseMs: v.optional(ms, 0),
  policy: v.optional(v.picklist(["process", "shared"]), "process"),
  spare: v.optional(v.number(), 0),
  health: v.object({ interval: ms, timeout: ms, startPeriod: ms, retries: v.number() }),
});
export type ProcessPlan = v.InferOutput<typeof processPlan>;

const record = v.object({
  id: v.string(),
  specHash: v.string(),
  labels: texts,
  tokenSha256: v.pipe(v.string(), v.hexadecimal()),
  configured: v.boolean(),
  /** Unix milliseconds. */
  createdAt: v.number(),
  plan: processPlan,
});
export type ProcessRecord = v.InferOutput<typeof record>;

const run = v.object({
  /** New for every start. */
  incarnation: v.string(),
  shim: processIdentity,
  bridge: processIdentity,
  startedAt: v.number(),
});
export type ProcessRun = v.InferOutput<typeof run>;

const exit = v.object({
  incarnation: v.string(),
  code: v.number(),
  reason: v.picklist(["finished", "oom", "crash", "killed"]),
  message: v.string(),
  at: v.number(),
});
export type ProcessExit = v.InferOutput<typeof exit>;

const health = v.object({ incarnation: v.string(), status: v.picklist(["starting", "healthy", "unhealthy"]) });
export type ProcessHealth = v.InferOutput<typeof health>;

const FILES = { record, run, exit, health } as const;
type FileName = keyof typeof FILES;

const ID = /^[a-z0-9][a-z0-9_.-]{0,199}$/;

/** The folder of one instance. Small synchronous reads: a consistent look at few files, without a turn in between. */
export class ProcessFolder {
  readonly path: string;

  constructor(
    root: string,
    readonly id: string,
  ) {
    if (!ID.test(id)) throw new Fault("not-found", `${JSON.stringify(id)} is not the id of a process server`);
    this.path = join(root, id);
  }

  file(name: "log" | "log.1" | "port" | "tmp" | "work" | "stop"): string {
    return join(this.path, name);
  }

  /** Undefined where the file is missing or makes no sense; a half-written one cannot be seen. */
  read<N extends FileName>(name: N): v.InferOutput<(typeof FILES)[N]> | undefined {
    return parseFile(FILES[name], join(this.path, `${name}.json`));
  }

  write<N extends FileName>(name: N, content: v.InferOutput<(typeof FILES)[N]>): void {
    const file = join(this.path, `${name}.json`);
    const draft = `${file}.${process.pid}.new`;
    writeFileSync(draft, JSON.stringify(content), { mode: 0o600 });
    renameSync(draft, file);
  }

  /** Where the bridge listens, once it does. */
  address(): { host: string; port: number } | undefined {
    const [, host, port] = /^(.+):(\d+)\s*$/.exec(readText(this.file("port")) ?? "") ?? [];
    return host === undefined ? undefined : { host, port: Number(port) };
  }

  /** Forgets the run before, so that nothing of it is taken for the next one. */
  forgetRun(): void {
    for (const name of ["port", "stop", "run.json", "exit.json", "health.json"]) {
      rmSync(join(this.path, name), { force: true });
    }
  }

  /** Gone for every reader at once, and then from the disk. */
  remove(): void {
    const gone = `${this.path}.gone.${process.pid}`;
    try {
      renameSync(this.path, gone);
    } catch {
      return;
    }
    rmSync(gone, { recursive: true, force: true });
  }
}

/** Makes the folder with its record in one step; false where there is one of that id already. */
export function createFolder(root: string, content: ProcessRecord): boolean {
  const draft = new ProcessFolder(root, `${content.id}.new.${process.pid}.${crypto.randomUUID()}`);
  mkdirSync(draft.path, { recursive: true, mode: 0o700 });
  try {
    for (const name of ["tmp", "work"] as const) mkdirSync(draft.file(name), { mode: 0o700 });
    draft.write("record", content);
    renameSync(draft.path, join(root, content.id));
    return true;
  } catch (error) {
    rmSync(draft.path, { recursive: true, force: true });
    if (new ProcessFolder(root, content.id).read("record")) return false;
    throw error;
  }
}

/** Every folder with a valid record. */
export function folders(root: string): { folder: ProcessFolder; record: ProcessRecord }[] {
  return entries(root).flatMap((id) => {
    if (!ID.test(id)) return [];
    const folder = new ProcessFolder(root, id);
    const content = folder.read("record");
    return content?.id === id ? [{ folder, record: content }] : [];
  });
}

/** Leftovers of creations and removals that were cut off, as paths. */
export function leftovers(root: string): string[] {
  return entries(root)
    .filter((name) => /\.(new|gone)\.\d+/.test(name))
    .map((name) => join(root, name));
}

function entries(root: string): string[] {
  try {
    return readdirSync(root);
  } catch (error) {
    if (isScarcity(error)) throw error;
    return [];
  }
}

function parseFile<S extends v.GenericSchema>(schema: S, file: string): v.InferOutput<S> | undefined {
  const text = readText(file);
  if (text === undefined) return undefined;
  try {
    const parsed = v.safeParse(schema, JSON.parse(text));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (isScarcity(error)) throw error;
    return undefined;
  }
}
