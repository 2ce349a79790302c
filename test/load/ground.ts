/** A manager from the compiled executable with both of its ports, and what can be measured of it and its processes. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DATA_FILE } from "../../src/base/data-dir.ts";
import { Deadline } from "../../src/base/deadline.ts";
import { listContainers } from "../../src/docker/containers.ts";
import { listNetworks } from "../../src/docker/networks.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv } from "../support/cli.ts";
import { engine } from "../support/engine.ts";
import { until } from "../support/until.ts";

const LIST_MS = 30_000;

export interface GroundOptions {
  runtime?: "process" | "docker";
  env?: Record<string, string>;
  /** For the manager and everything that it starts. */
  descriptors?: number;
}

export class Ground implements AsyncDisposable {
  restUrl = "";
  tcpPort = 0;
  token = "";

  private constructor(
    readonly dataDir: string,
    readonly manager: Bun.Subprocess,
    readonly runtime: "process" | "docker",
  ) {}

  static async open({ runtime = "process", env = {}, descriptors }: GroundOptions = {}): Promise<Ground> {
    const dataDir = await mkdtemp(join(tmpdir(), "ls-load-"));
    const launcher = descriptors === undefined ? [] : ["prlimit", `--nofile=${descriptors}:${descriptors}`];
    const ports = ["--port", "0", "--tcp-port", "0", "--log-format", "json"];
    const manager = Bun.spawn(
      [...launcher, BINARY, "serve", "--runtime", runtime, "--allow-weaker", ...ports, "--stop-servers-on-exit"],
      {
        env: cleanEnv({ LINKSPAN_DATA_DIR: dataDir, ...env }),
        stdio: ["ignore", "ignore", Bun.file(join(dataDir, "serve.log"))],
      },
    );
    const ground = new Ground(dataDir, manager, runtime);
    const up = await until("a manager that is up", async () => /^.*"rest":.*$/m.exec(await ground.log())?.[0], 20_000);
    const { rest, tcp } = JSON.parse(up) as { rest: string; tcp: string };
    ground.restUrl = rest;
    ground.tcpPort = Number(tcp.slice(tcp.lastIndexOf(":") + 1));
    ground.token = (await readFile(join(dataDir, "token"), "utf8")).trim();
    return ground;
  }

  get pid(): number {
    return this.manager.pid;
  }

  log(): Promise<string> {
    return readFile(join(this.dataDir, "serve.log"), "utf8").catch(() => "");
  }

  /** Over the unix socket, whatever the port does. */
  api(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return fetch(`http://localhost${path}`, { headers, ...init, unix: join(this.dataDir, "manager.sock") });
  }

  async start(name: string, body: object): Promise<void> {
    const answer = await this.api(`/servers/${name}/start`, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`start ${name}: ${answer.status} ${await answer.text()}`);
  }

  async sessions(): Promise<number> {
    return ((await (await this.api("/sessions")).json()) as unknown[]).length;
  }

  attach(server: string): string {
    return `${JSON.stringify({ link: "attach", server, token: this.token })}\n`;
  }

  /** Processes whose command line or environment names this data directory, the manager itself not among them. */
  offspring(): number[] {
    return processes().filter((pid) => pid !== this.pid && mentions(pid, this.dataDir));
  }

  /** Bridges on this machine, those in containers, too. */
  async bridges(): Promise<number[]> {
    const containers = await this.containers();
    const inside = (pid: number) => containers.some((id) => text(`/proc/${pid}/cgroup`).includes(id));
    const candidates = containers.length > 0 ? processes().filter(inside) : this.offspring();
    // The container's init has the bridge's words after its own.
    return candidates.filter((pid) => words(pid).includes("--listen") && !words(pid)[0]?.endsWith("init"));
  }

  /** Children of the bridges. */
  async servers(): Promise<number[]> {
    const bridges = new Set(await this.bridges());
    return processes().filter((pid) => bridges.has(parentOf(pid)));
  }

  /** Ids of this manager's containers, whatever their state. */
  async containers(): Promise<string[]> {
    if (this.runtime === "process") return [];
    const found = await listContainers(engine(), { label: [this.label()] }, Deadline.in(LIST_MS));
    return found.map(({ Id }) => Id);
  }

  async networks(): Promise<number> {
    if (this.runtime === "process") return 0;
    return (await listNetworks(engine(), { label: [this.label()] }, Deadline.in(LIST_MS))).length;
  }

  private label(): string {
    return `${LABEL.instance}=${readFileSync(join(this.dataDir, DATA_FILE.instance), "utf8").trim()}`;
  }

  async close(): Promise<number> {
    this.manager.kill("SIGTERM");
    const timer = setTimeout(() => this.manager.kill("SIGKILL"), 40_000);
    const code = await this.manager.exited;
    clearTimeout(timer);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.manager.exitCode === null && this.manager.signalCode === null) await this.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Memory of its own in MiB: anonymous pages, without the executable's. */
export function memoryOf(pid: number): number {
  return Number(/RssAnon:\s+(\d+) kB/.exec(text(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;
}

export function descriptorsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** What a process's descriptors are, sorted and counted: for the message when there are more than before. */
export function descriptorKinds(pid: number): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    let target = "?";
    try {
      target = readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\[?\d+\]?$/, "");
    } catch {}
    kinds[target] = (kinds[target] ?? 0) + 1;
  }
  return kinds;
}

/** Milliseconds of processor time so far, from `utime` and `stime` (proc(5)), which count hundredths of a second. */
export function processorMs(pid: number): number {
  const fields = text(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

export function parentOf(pid: number): number {
  return Number(
    text(`/proc/${pid}/stat`)
      .replace(/^.*\) /s, "")
      .split(" ")[1],
  );
}

/** Children that have ended and that nobody has waited for. */
export function zombiesOf(pids: number[]): number {
  const parents = new Set(pids);
  return processes().filter((pid) => {
    const [state, parent] = text(`/proc/${pid}/stat`)
      .replace(/^.*\) /s, "")
      .split(" ");
    return state === "Z" && parents.has(Number(parent));
  }).length;
}

export function processes(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

export function words(pid: number): string[] {
  return text(`/proc/${pid}/cmdline`).split("\0");
}

function mentions(pid: number, what: string): boolean {
  return text(`/proc/${pid}/cmdline`).includes(what) || text(`/proc/${pid}/environ`).includes(what);
}

function text(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
