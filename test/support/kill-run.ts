/**
 * One life of client, front and manager, as a user starts them, ended with SIGKILL for all three at a seeded moment; and
 * what is left of it after the lease. Used a few times in the tests and 200 times in the soak.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listContainers } from "../../src/docker/containers.ts";
import { listNetworks } from "../../src/docker/networks.ts";
import { Deadline } from "../../src/base/deadline.ts";
import { LABEL, MANAGED_BY } from "../../src/runtime/labels.ts";
import { parseOwner } from "../../src/runtime/owner.ts";
import { BINARY } from "./binary.ts";
import { cleanEnv } from "./cli.ts";
import { engine } from "./engine.ts";

const CLIENT = join(import.meta.dir, "../fixtures/chatty-client.sh");
const UNDYING = join(import.meta.dir, "../fixtures/undying-server.sh");
/** In the environment of client, front, manager and caretaker of one run. */
const MARK = "LINKSPAN_TEST_RUN";
/** Until a moment that was asked for has come; then the kill happens anyway. */
const MOMENT_MS = 15_000;
const POLL_MS = 15;
const LOOK_MS = 100;
/** How long after the promise is over it is watched what becomes of the rest. */
const LATE_MS = 20_000;

/**
 * `any`: up to 2.5 s after the client's start. `created`: right after the engine has made the container. `calling`: under
 * calls. `stopping`: while a stop is under way, which takes seconds. `pulling`: while an image is fetched. `embedded`: the
 * manager is inside the front. `alone`: the client has left in order before.
 */
export const MOMENTS = ["any", "any", "created", "calling", "stopping", "embedded", "alone", "pulling"] as const;
export type Moment = (typeof MOMENTS)[number];

export interface KillOptions {
  runtime: "docker" | "process";
  moment: Moment;
  leaseMs: number;
  /** What is left so long after the lease counts. */
  graceMs: number;
  /** What the servers in containers are made from. */
  image: string;
  /** An image whose fetching never ends. */
  stalling: string;
  /** From 0 to 1, seeded. */
  next: () => number;
}

export interface Killed {
  /** Processes that were killed. */
  killed: number;
  /** Answers that the client had got before. */
  answers: number;
  /** From the last SIGKILL until nothing was left; undefined when something still was after a long time. */
  goneMs: number | undefined;
  /** What is left after the lease and the grace. */
  left: string[];
}

export async function killRun(options: KillOptions): Promise<Killed> {
  await using life = await Life.begin(options);
  await life.until(options.moment);
  const killed = await life.kill();
  return { killed, answers: life.answers(), ...(await life.leftovers(options.leaseMs + options.graceMs)) };
}

class Life implements AsyncDisposable {
  private readonly mark = crypto.randomUUID();
  /** Managers of this run that were killed. */
  private readonly managers = new Set<number>();
  private constructor(
    private readonly folder: string,
    private readonly options: KillOptions,
  ) {}

  static async begin(options: KillOptions): Promise<Life> {
    const life = new Life(await mkdtemp(join(tmpdir(), "ls-kill-")), options);
    const { folder } = life;
    await Promise.all([mkdir(join(folder, "tmp")), mkdir(life.dir)]);
    const { runtime, image, leaseMs, moment } = options;
    const what =
      runtime === "docker"
        ? { image: moment === "pulling" ? options.stalling : image, limits: { memory: "32m" } }
        : { image: "exec:/bin/sh", args: [UNDYING] };
    const file = join(folder, "linkspan.yaml");
    await writeFile(file, JSON.stringify({ servers: { undying: { ...what, lease: leaseMs } } }));
    const env = cleanEnv({
      [MARK]: life.mark,
      LINKSPAN_DATA_DIR: life.dir,
      LINKSPAN_CONFIG: file,
      LINKSPAN_RUNTIME: runtime,
      LINKSPAN_ALLOW_WEAKER: "1",
      TMPDIR: join(folder, "tmp"),
    });
    const front = [BINARY, "mcp", ...(moment === "embedded" ? ["--embedded"] : []), "undying"];
    Bun.spawn(["/bin/sh", CLIENT, join(folder, "answers"), ...front], { env, stdio: ["ignore", "ignore", "ignore"] });
    return life;
  }

  /** So long that the manager's socket lies elsewhere, in every other run. */
  private get dir(): string {
    const long = this.mark.charCodeAt(0) % 2 === 0 ? "-".padEnd(80, "long") : "";
    return join(this.folder, `data${long}`);
  }

  async until(moment: Moment): Promise<void> {
    const { next } = this.options;
    const wait = (ms: number) => Bun.sleep(next() * ms);
    if (moment === "any" || moment === "embedded" || moment === "pulling") return wait(2_500);
    if (moment === "created") {
      await this.seen(async () => this.managerPid() !== undefined && (await this.instances()).length > 0);
      return wait(60);
    }
    await this.seen(() => this.answers() > 0);
    if (moment === "alone") {
      for (const pid of this.marked()) if (isClient(pid) && !commandOf(pid).startsWith(BINARY)) killQuietly(pid);
      return wait(1_500);
    }
    if (moment === "stopping") {
      const unix = this.socket();
      void fetch("http://localhost/servers/undying/stop", {
        method: "POST",
        body: "{}",
        unix,
        headers: JSON_BODY,
      }).catch(() => {});
      return wait(6_000);
    }
    return wait(1_000);
  }

  /** SIGKILL for every client, front and manager, in a seeded order, until there is none. */
  async kill(): Promise<number> {
    let killed = 0;
    for (let quiet = 0; quiet < 3;) {
      const pids = this.marked().filter((pid) => !isCaretaker(pid) && !isUnborn(pid));
      quiet = pids.length === 0 ? quiet + 1 : 0;
      for (const pid of pids.toSorted(() => this.options.next() - 0.5)) {
        if (/\0(serve|--embedded)\0/.test(commandOf(pid))) this.managers.add(pid);
        killQuietly(pid);
        killed += 1;
        if (this.options.next() < 0.3) await Bun.sleep(this.options.next() * 30);
      }
      await Bun.sleep(20);
    }
    return killed;
  }

  async leftovers(promisedMs: number): Promise<Pick<Killed, "goneMs" | "left">> {
    const startedAt = performance.now();
    let left: string[] | undefined;
    for (;;) {
      const now = await this.look();
      const goneMs = performance.now() - startedAt;
      if (now.length === 0) return { goneMs, left: left ?? [] };
      if (goneMs > promisedMs) left ??= now;
      if (goneMs > promisedMs + LATE_MS) return { goneMs: undefined, left: left ?? now };
      await Bun.sleep(LOOK_MS);
    }
  }

  answers(): number {
    return textOf(join(this.folder, "answers"))
      .split("\n")
      .filter((line) => line.includes('"result"')).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    for (const pid of this.processes()) killQuietly(pid);
    await rm(this.folder, { recursive: true, force: true });
  }

  private async look(): Promise<string[]> {
    const found = this.processes().map((pid) => `process ${pid}: ${commandOf(pid).replaceAll("\0", " ")}`);
    if (this.options.runtime === "docker") found.push(...(await this.onEngine()));
    const folders = [join(this.folder, "tmp"), join(this.dir, "process"), join(this.dir, "embedded")];
    for (const folder of folders) found.push(...entriesOf(folder).map((name) => `folder ${join(folder, name)}`));
    return found;
  }

  private async onEngine(): Promise<string[]> {
    const deadline = Deadline.in(20_000);
    const ids = this.instanceIds();
    const ours = { label: [`${LABEL.managedBy}=${MANAGED_BY}`] };
    const [containers, networks] = await Promise.all([
      listContainers(engine(), ours, deadline),
      listNetworks(engine(), ours, deadline),
    ]);
    const isOurs = (labels: Record<string, string> | null | undefined) =>
      ids.has(labels?.[LABEL.instance] ?? "") || this.managers.has(parseOwner(labels?.[LABEL.owner])?.pid ?? 0);
    return [
      ...containers.flatMap(({ Names, State, Labels }) => (isOurs(Labels) ? [`container ${Names?.[0]} ${State}`] : [])),
      ...networks.flatMap(({ Name, Labels }) => (isOurs(Labels) ? [`network ${Name}`] : [])),
    ];
  }

  private async instances(): Promise<string[]> {
    return this.options.runtime === "docker" ? await this.onEngine() : entriesOf(join(this.dir, "process"));
  }

  /** Of managers, also of those inside fronts; remembered, because a caretaker removes their directories. */
  private readonly known = new Set<string>();
  private instanceIds(): Set<string> {
    const embedded = entriesOf(join(this.dir, "embedded")).map((name) => join(this.dir, "embedded", name));
    for (const dir of [this.dir, ...embedded]) {
      const instance = textOf(join(dir, "instance")).trim();
      if (instance) this.known.add(instance);
    }
    return this.known;
  }

  private managerPid(): number | undefined {
    return Number(textOf(join(this.dir, "manager.pid"))) || undefined;
  }

  private socket(): string {
    return textOf(join(this.dir, "manager.sock.path")).trim() || join(this.dir, "manager.sock");
  }

  private async seen(what: () => boolean | Promise<boolean>): Promise<void> {
    for (const until = performance.now() + MOMENT_MS; performance.now() < until && !(await what());) {
      await Bun.sleep(POLL_MS);
    }
  }

  /** Client, front, manager and caretaker. */
  private marked(): number[] {
    return pids().filter((pid) => readProc(pid, "environ").includes(`${MARK}=${this.mark}`));
  }

  /** Those, shims, bridges and servers. */
  private processes(): number[] {
    const marks = [this.mark, this.folder, ...[...this.instanceIds()].map((id) => `linkspan-${id}-`)];
    return pids().filter((pid) => {
      const text = `${readProc(pid, "environ")}${commandOf(pid)}`;
      return marks.some((mark) => text.includes(mark));
    });
  }
}

const JSON_BODY = { "content-type": "application/json" };

function pids(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 1 && pid !== process.pid);
}

function isCaretaker(pid: number): boolean {
  return commandOf(pid).includes("\0caretaker\0");
}

/** Forked and not yet become what it is to be, such as a caretaker: it still looks like its parent. */
function isUnborn(pid: number): boolean {
  const parent = /^PPid:\s+(\d+)/m.exec(readProc(pid, "status"))?.[1];
  const command = commandOf(pid);
  return parent !== undefined && command.startsWith(BINARY) && commandOf(Number(parent)) === command;
}

function isClient(pid: number): boolean {
  return commandOf(pid).includes(CLIENT);
}

function commandOf(pid: number): string {
  return readProc(pid, "cmdline");
}

function readProc(pid: number, file: string): string {
  return textOf(`/proc/${pid}/${file}`);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

function entriesOf(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
