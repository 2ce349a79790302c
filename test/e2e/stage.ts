/** A manager of the test's own, as users start one, and the fronts that clients launch with it. */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY } from "../support/binary.ts";
import { cleanEnv } from "../support/cli.ts";
import { until } from "../support/until.ts";
import type { Launch } from "./launch.ts";

/** Where a client comes in. */
export interface Doors {
  front(...args: string[]): Launch;
  /** Of REST and MCP over HTTP, without a slash at its end. */
  url: string;
  tcpPort: number;
  token: string;
}

export type StageRuntime = "docker" | "process";

export interface StageOptions {
  /** Its servers run on after a SIGTERM, as users have it; the stage removes them at its end all the same. */
  keepServers?: boolean;
  /** Of the manager, beside the stage's own. */
  env?: Record<string, string>;
  args?: string[];
  /** Instead of one of the stage's own; removed with it all the same. */
  dataDir?: string;
}

interface View {
  state: string;
  reason?: string;
  sessions: number;
  containers?: number;
  container?: string;
  id?: string;
  /** Unix milliseconds: in this state. */
  since?: number;
}

export class Stage implements AsyncDisposable {
  /** The manager's TCP port for plain clients. */
  tcpPort = 0;
  /** Of REST and of MCP over HTTP. */
  port = 0;

  private constructor(
    readonly dataDir: string,
    private manager: Bun.Subprocess,
    private readonly runtime: StageRuntime,
    private readonly options: StageOptions,
  ) {}

  static async open(runtime: StageRuntime, options: StageOptions = {}): Promise<Stage> {
    // Short: the manager's socket lies in it.
    const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "ls-e2e-")));
    await mkdir(dataDir, { recursive: true });
    // Chosen by the manager: a port that was free when we looked may be somebody else's by then.
    const manager = Stage.serve(BINARY, dataDir, { tcpPort: 0, port: 0 }, runtime, options);
    const stage = new Stage(dataDir, manager, runtime, options);
    await stage.ready();
    const up = await until("its ports", async () => / rest=\S+:(\d+) .*tcp=\S+:(\d+) /.exec(await stage.log()));
    [stage.port, stage.tcpPort] = [Number(up[1]), Number(up[2])];
    return stage;
  }

  private static serve(
    binary: string,
    dataDir: string,
    { tcpPort, port }: { tcpPort: number; port: number },
    runtime: StageRuntime,
    { keepServers = false, env = {}, args = [] }: StageOptions,
  ): Bun.Subprocess {
    const ports = ["--port", String(port), "--tcp-port", String(tcpPort)];
    const end = keepServers ? [] : ["--stop-servers-on-exit"];
    return Bun.spawn([binary, "serve", "--runtime", runtime, "--allow-weaker", ...ports, ...end, ...args], {
      env: cleanEnv({ LINKSPAN_DATA_DIR: dataDir, ...env }),
      stdio: ["ignore", "ignore", Bun.file(join(dataDir, "serve.log"))],
    });
  }

  private async ready(): Promise<void> {
    try {
      await until("a manager that answers", async () => (await this.api("/health").catch(() => undefined))?.ok, 20_000);
    } catch (error) {
      throw new Error(`the manager says: ${await this.log()}`, { cause: error });
    }
  }

  log(): Promise<string> {
    return readFile(join(this.dataDir, "serve.log"), "utf8").catch(() => "");
  }

  token(): Promise<string> {
    return readFile(join(this.dataDir, "token"), "utf8").then((text) => text.trim());
  }

  instance(): Promise<string> {
    return readFile(join(this.dataDir, "instance"), "utf8").then((text) => text.trim());
  }

  api(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return fetch(`http://localhost${path}`, { headers, ...init, unix: join(this.dataDir, "manager.sock") });
  }

  /** Starts a server as `POST /servers/:name/start` does; resolves when it is ready. */
  async start(name: string, body: Record<string, unknown>): Promise<void> {
    const answer = await this.api(`/servers/${name}/start`, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`start ${name}: ${answer.status} ${await answer.text()}`);
  }

  async view(name: string): Promise<View> {
    return (await (await this.api(`/servers/${name}`)).json()) as View;
  }

  async sessions(): Promise<{ session: string; server: string; pid?: number }[]> {
    return (await (await this.api("/sessions")).json()) as { session: string; server: string; pid?: number }[];
  }

  /** The command that an MCP client is configured with. */
  front(...args: string[]): Launch {
    const env = Object.fromEntries(
      Object.entries(cleanEnv({ LINKSPAN_DATA_DIR: this.dataDir })).flatMap(([key, value]) =>
        value === undefined ? [] : [[key, value]],
      ),
    );
    return { command: BINARY, args: ["mcp", ...args], env };
  }

  /** Every door that a client may come through. */
  async doors(): Promise<Doors> {
    const url = `http://127.0.0.1:${this.port}`;
    return { front: (...args) => this.front(...args), url, tcpPort: this.tcpPort, token: await this.token() };
  }

  /** Ends the manager without a chance to clean up; its servers run on. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /** The exit code, where it has one. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.manager.kill(signal);
    await this.manager.exited;
    return this.manager.exitCode;
  }

  /** A new manager, which finds what the last one has left. */
  async restart(binary = BINARY, options = this.options): Promise<void> {
    this.manager = Stage.serve(binary, this.dataDir, this, this.runtime, options);
    await this.ready();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.options.keepServers) await this.end("SIGKILL");
    if (this.manager.killed) await this.restart(BINARY, { ...this.options, keepServers: false });
    this.manager.kill("SIGTERM");
    const timer = setTimeout(() => this.manager.kill("SIGKILL"), 30_000);
    await this.manager.exited;
    clearTimeout(timer);
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
