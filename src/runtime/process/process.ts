/**
 * Servers as processes of this machine: the runtime where there is no container engine. The same bridge and the same
 * wire as in a container, but no isolation; `check` says so field by field.
 *
 * The executable itself is the runtime of npm servers (`BUN_BE_BUN=1`). A shim (shim.ts) is the parent of each
 * bridge, so that servers survive the manager; folders in the data directory (process-record.ts) are the memory.
 */
import { accessSync, constants, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Deadline, sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { ServerSpec } from "../../model/server-spec.ts";
import { endWithin, isAlive, signalProcess } from "./identity.ts";
import { readLog } from "./log.ts";
import { planOf, PROCESS_VERSION, processGaps } from "./plan.ts";
import { Programs } from "./programs.ts";
import { createFolder, folders, leftovers, ProcessFolder, type ProcessRecord } from "./record.ts";
import { stopBridge } from "./shim.ts";
import { SHIM_END_MS, startShim } from "./start.ts";
import { measure } from "./stats.ts";
import { describeInstance, isRunning, maskRecord } from "./view.ts";
import {
  type Facts,
  type Gap,
  type Instance,
  type Labels,
  type LogLine,
  type LogOptions,
  type Ownership,
  type Report,
  type Runtime,
  type Stats,
  sessionSuffix,
} from "../runtime.ts";

/** How often the processes are looked at while somebody watches; what this runtime does itself is seen at once. */
const WATCH_MS = 500;

export interface ProcessOptions {
  /** The manager's data directory; `process`, `npm` and `pypi` in it are this runtime's. */
  dataDir: string;
  /** `exec:PROGRAM`: the Python of Python servers, instead of `python3`. */
  pythonImage?: string;
}

export class ProcessRuntime implements Runtime {
  readonly kind = "process";
  private readonly root: string;
  private readonly programs: Programs;
  /** Resolved and replaced at every change made here. */
  private changed = Promise.withResolvers<void>();
  /** By instance id: the start that is under way. */
  private readonly starts = new Map<string, Promise<Instance>>();

  constructor({ dataDir, pythonImage }: ProcessOptions) {
    this.root = join(dataDir, "process");
    this.programs = new Programs(dataDir, pythonImage);
  }

  async probe(deadline: Deadline): Promise<Facts> {
    inTime(deadline, "looking at the process runtime");
    if (process.platform === "win32") {
      throw new Fault("unsupported", "servers cannot run as processes on Windows", {
        hint: "use a container engine such as Docker Desktop",
      });
    }
    try {
      mkdirSync(this.root, { recursive: true, mode: 0o700 });
      accessSync(this.root, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (cause) {
      throw new Fault("forbidden", `the folder ${this.root} cannot be written`, {
        hint: "LINKSPAN_DATA_DIR names another data directory",
        cause,
      });
    }
    return {
      version: PROCESS_VERSION,
      api: "process",
      os: process.platform,
      arch: process.arch,
      direct: true,
      warnings: ["servers run as processes of this machine, without isolation"],
      unenforced: ["limits.memory", "limits.cpus", "limits.pids", "limits.tmp", "network", "readOnly"],
    };
  }

  check(spec: ServerSpec, _facts: Facts): Gap[] {
    return processGaps(spec);
  }

  async prepare(spec: ServerSpec, report: Report, deadline: Deadline): Promise<void> {
    inTime(deadline, `preparing ${spec.name}`);
    refuseImpossible(spec);
    await this.programs.prepare(spec, report, deadline);
  }

  async identify(spec: ServerSpec, deadline: Deadline): Promise<string | undefined> {
    inTime(deadline, `looking at ${spec.name}`);
    return await this.programs.identify(spec);
  }

  async create(spec: ServerSpec, owner: Ownership, deadline: Deadline): Promise<Instance> {
    inTime(deadline, `creating ${spec.name}`);
    refuseImpossible(spec);
    const plan = planOf(spec, await this.programs.find(spec), owner.leaseMs);
    for (const folder of [plan.cwd, ...spec.volumes.map((volume) => volume.source)]) {
      if (folder !== undefined && !existsSync(folder)) {
        throw new Fault("invalid", `${folder} does not exist on this machine`, { hint: "create it first" });
      }
    }
    const id = `linkspan-${owner.instance}-${spec.name}${sessionSuffix(owner)}-${owner.specHash.slice(0, 12)}`;
    const { labels, specHash, tokenSha256, configured } = owner;
    // Where it exists, the existing one is adopted, with its own token: the folder's name is the lock.
    createFolder(this.root, { id, specHash, labels, tokenSha256, configured, createdAt: Date.now(), plan });
    this.tell();
    return this.instance(id);
  }

  start(id: string, deadline: Deadline): Promise<Instance> {
    const underWay = this.starts.get(id);
    if (underWay) return deadline.race(`starting ${id}`, underWay);
    const started = this.startOnce(id, deadline).finally(() => {
      this.starts.delete(id);
      this.tell();
    });
    this.starts.set(id, started);
    return started;
  }

  async stop(id: string, graceMs: number, deadline: Deadline): Promise<void> {
    inTime(deadline, `stopping ${id}`);
    const underWay = this.starts.get(id)?.catch(() => {});
    if (underWay) await deadline.race(`stopping ${id}`, underWay);
    const folder = new ProcessFolder(this.root, id);
    const run = folder.read("run");
    if (!isRunning(run)) return;
    writeFileSync(folder.file("stop"), String(graceMs));
    // The shim does it, so that a stop goes on when the manager dies; one that is gone is stood in for.
    if (isAlive(run.shim)) signalProcess(run.shim, "SIGTERM");
    else stopBridge(folder, run.bridge).catch(() => {});
    const ended = await endWithin([run.bridge], deadline.remainingMs);
    if (!ended) throw deadline.fault(`stopping ${id}`);
    await endWithin([run.shim], Math.min(SHIM_END_MS, deadline.remainingMs));
    this.tell();
  }

  async remove(id: string, deadline: Deadline): Promise<void> {
    await this.stop(id, 0, deadline);
    new ProcessFolder(this.root, id).remove();
    this.tell();
  }

  async list(labels: Labels, deadline: Deadline): Promise<Instance[]> {
    inTime(deadline, "listing the process servers");
    return this.matching(labels);
  }

  async inspect(id: string, deadline: Deadline): Promise<{ instance: Instance; raw: unknown }> {
    inTime(deadline, `inspecting ${id}`);
    const { folder, record } = this.find(id);
    const raw = { ...maskRecord(record), folder: folder.path, run: folder.read("run"), exit: folder.read("exit") };
    return { instance: describeInstance(folder, record), raw };
  }

  async *watch(labels: Labels, signal: AbortSignal): AsyncIterable<Instance> {
    const seen = new Map<string, { text: string; instance: Instance }>();
    while (!signal.aborted) {
      const { promise } = this.changed;
      const now = new Map(this.matching(labels).map((instance) => [instance.id, instance]));
      for (const [id, { instance }] of seen) {
        if (now.has(id)) continue;
        seen.delete(id);
        yield { ...instance, state: "lost", addresses: [] };
      }
      for (const [id, instance] of now) {
        const text = JSON.stringify(instance);
        if (seen.get(id)?.text === text) continue;
        seen.set(id, { text, instance });
        yield instance;
      }
      await Promise.race([promise, sleep(WATCH_MS, signal).catch(() => {})]);
    }
  }

  logs(id: string, options: LogOptions): AsyncIterable<LogLine> {
    const { folder } = this.find(id);
    const running = () => {
      const run = folder.read("run");
      // The shim writes the log, its own last words included.
      return run !== undefined && (isAlive(run.shim) || isAlive(run.bridge));
    };
    return readLog(folder.file("log"), options, running);
  }

  /** Present on Linux only: elsewhere no file tells it. */
  readonly stats =
    process.platform === "linux"
      ? async (id: string, deadline: Deadline): Promise<Stats> => {
          inTime(deadline, `measuring ${id}`);
          const run = this.find(id).folder.read("run");
          if (!isRunning(run)) throw new Fault("conflict", `${id} does not run`);
          return measure(id, run.bridge, deadline);
        }
      : undefined;

  async clean(instance: string, deadline: Deadline): Promise<void> {
    inTime(deadline, "cleaning up");
    for (const path of leftovers(this.root)) {
      if (path.includes(`/linkspan-${instance}-`)) rmSync(path, { recursive: true, force: true });
    }
    await this.programs.clean();
  }

  /** Servers go on; whoever watches must abort. */
  async [Symbol.asyncDispose](): Promise<void> {}

  private async startOnce(id: string, deadline: Deadline): Promise<Instance> {
    inTime(deadline, `starting ${id}`);
    const { folder } = this.find(id);
    if (!isRunning(folder.read("run"))) await startShim(folder, deadline);
    return this.instance(id);
  }

  private matching(labels: Labels): Instance[] {
    const wanted = Object.entries(labels);
    return folders(this.root)
      .filter(({ record }) => wanted.every(([name, value]) => record.labels[name] === value))
      .map(({ folder, record }) => describeInstance(folder, record));
  }

  private instance(id: string): Instance {
    const { folder, record } = this.find(id);
    return describeInstance(folder, record);
  }

  private find(id: string): { folder: ProcessFolder; record: ProcessRecord } {
    const folder = new ProcessFolder(this.root, id);
    const record = folder.read("record");
    if (!record) throw new Fault("not-found", `there is no process server ${id}`);
    return { folder, record };
  }

  private tell(): void {
    this.changed.resolve();
    this.changed = Promise.withResolvers();
  }
}

function inTime(deadline: Deadline, what: string): void {
  if (deadline.passed) throw deadline.fault(what);
}

function refuseImpossible(spec: ServerSpec): void {
  const gap = processGaps(spec).find((found) => found.severity === "impossible");
  if (!gap) return;
  throw new Fault("unsupported", `${spec.name} cannot run as a process: ${gap.message}`, {
    hint: gap.hint,
    data: { field: gap.field },
  });
}
