/** A manager as a front starts it in the background, to be killed; and a look at what it has left. */
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { dialSession, type Session } from "../../src/transport/session.ts";
import type { ServerBodyInput } from "../../src/model/server-spec.ts";
import type { SessionGrant } from "../../src/model/views.ts";
import { BINARY } from "./binary.ts";
import { cleanEnv } from "./cli.ts";
import { until } from "./until.ts";

const STUBBORN = join(import.meta.dir, "../fixtures/stubborn-server.sh");
const STEP_MS = 60_000;

interface View {
  name: string;
  state: string;
  id?: string;
}

interface LoneOptions {
  env?: Record<string, string>;
  /** More arguments of `linkspan serve`. */
  args?: string[];
}

export class Lone implements AsyncDisposable {
  instance = "";
  private manager: Bun.Subprocess | undefined;
  private readonly sessions: Session[] = [];

  private constructor(
    readonly dir: string,
    private readonly runtime: "docker" | "process",
    private readonly options: LoneOptions,
  ) {}

  static async open(runtime: "docker" | "process", options: LoneOptions = {}): Promise<Lone> {
    const lone = new Lone(await mkdtemp(join(tmpdir(), "ls-lone-")), runtime, options);
    await lone.open();
    return lone;
  }

  async open(more: string[] = []): Promise<void> {
    const args = ["serve", "--background-child", "--runtime", this.runtime, "--allow-weaker"];
    const words = Bun.file(join(this.dir, "serve.log"));
    const env = cleanEnv({ LINKSPAN_DATA_DIR: this.dir, ...this.options.env });
    const all = [...args, ...(this.options.args ?? []), ...more];
    this.manager = Bun.spawn([BINARY, ...all], { env, stdio: ["ignore", "ignore", words] });
    const answers = async () => (await this.api("/health").catch(() => undefined))?.ok;
    await until("a manager that answers", answers, STEP_MS);
    this.instance = readFileSync(join(this.dir, "instance"), "utf8").trim();
  }

  get pid(): number {
    return this.manager?.pid ?? 0;
  }

  api(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return fetch(`http://localhost${path}`, { headers, ...init, unix: join(this.dir, "manager.sock") });
  }

  async post(path: string, body: unknown = {}): Promise<unknown> {
    const answer = await this.api(path, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return await answer.json();
  }

  run(name: string, body: ServerBodyInput): Promise<unknown> {
    return this.post(`/servers/${name}/start`, body);
  }

  async servers(): Promise<View[]> {
    return (await (await this.api("/servers")).json()) as View[];
  }

  /** What the manager's clock says, unix milliseconds. */
  async clock(): Promise<number> {
    const [{ name: server = "" } = {}] = await this.servers();
    const request = { server, pid: process.pid, ppid: process.ppid };
    const { session } = (await this.post("/sessions", request)) as SessionGrant;
    const open = (await (await this.api("/sessions")).json()) as { session: string; since: number }[];
    await this.api(`/sessions/${session}`, { method: "DELETE" });
    return open.find((one) => one.session === session)?.since ?? Number.NaN;
  }

  /** The command that a client of this manager is configured with. */
  front(server: string): { command: string; args: string[]; env: Record<string, string> } {
    const env = Object.entries(cleanEnv({ LINKSPAN_DATA_DIR: this.dir }));
    return {
      command: BINARY,
      args: ["mcp", server],
      env: Object.fromEntries(env.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    };
  }

  /** Ignores the end of its input and SIGTERM. */
  obstinate(more: Partial<ServerBodyInput> = {}): ServerBodyInput {
    return { image: "exec:/bin/sh", args: [STUBBORN], ...more };
  }

  /** A session of this process, so that a server process runs. */
  async attach(server: string): Promise<Session> {
    const request = { server, pid: process.pid, ppid: process.ppid };
    const { addresses, token, session: id } = (await this.post("/sessions", request)) as SessionGrant;
    const session = await dialSession({ addresses, token, session: id }, Deadline.in(STEP_MS));
    session.open({ line: () => {}, ended: () => {} });
    this.sessions.push(session);
    return session;
  }

  /** With SIGKILL, and the connections of this process, as if its clients had been killed, too. */
  async kill(): Promise<void> {
    for (const session of this.sessions.splice(0)) session.destroy();
    this.manager?.kill("SIGKILL");
    await this.manager?.exited;
  }

  /** The exit code after SIGTERM. */
  async end(): Promise<number | undefined> {
    this.manager?.kill("SIGTERM");
    return await this.manager?.exited;
  }

  /** Every process that names the directory or the instance in its command line or its environment, but the manager's. */
  processes(): number[] {
    const marks = [basename(this.dir), ...(this.instance === "" ? [] : [`linkspan-${this.instance}-`])];
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 1 && pid !== this.pid && marks.some((mark) => textOf(pid).includes(mark)));
  }

  caretakers(): number[] {
    return this.processes().filter((pid) => /\0caretaker\0/.test(read(pid, "cmdline")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.open(["--stop-servers-on-exit"]).catch(() => {});
    await this.end();
    await until("its caretakers have ended", () => this.caretakers().length === 0).catch(() => {});
    await rm(this.dir, { recursive: true, force: true });
  }
}

function textOf(pid: number): string {
  return `${read(pid, "cmdline")}\0${read(pid, "environ")}`;
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}
