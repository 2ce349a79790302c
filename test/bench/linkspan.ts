/** Linkspan as the benchmark uses it: the compiled binary, a manager of its own, the same commands that users type. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY } from "../support/binary.ts";
import { type Channel, tcpChannel } from "./channel.ts";

interface Grant {
  session: string;
  token: string;
  addresses: { kind: string; host: string; port: number }[];
}

export class Linkspan implements AsyncDisposable {
  private constructor(
    readonly dataDir: string,
    private readonly manager: Bun.Subprocess,
  ) {}

  get env(): Record<string, string | undefined> {
    return { ...process.env, LINKSPAN_DATA_DIR: this.dataDir };
  }

  static async start(runtime: "docker" | "process"): Promise<Linkspan> {
    const dataDir = await mkdtemp(join(tmpdir(), "linkspan-bench-"));
    const manager = Bun.spawn(
      [
        BINARY,
        "serve",
        "--runtime",
        runtime,
        "--allow-weaker",
        "--port",
        "0",
        "--tcp-port",
        "0",
        "--stop-servers-on-exit",
      ],
      {
        env: { ...process.env, LINKSPAN_DATA_DIR: dataDir },
        stdio: ["ignore", "ignore", Bun.file(join(dataDir, "serve.log"))],
      },
    );
    const started = new Linkspan(dataDir, manager);
    for (let i = 0; i < 200; i++) {
      const health = await started.api("/health").catch(() => undefined);
      if (health?.ok) return started;
      await Bun.sleep(50);
    }
    throw new Error(`no manager after 10 s: ${await Bun.file(join(dataDir, "serve.log")).text()}`);
  }

  api(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return fetch(`http://localhost${path}`, { headers, ...init, unix: join(this.dataDir, "manager.sock") });
  }

  /** Of its port, as its log says it. */
  async url(): Promise<string> {
    const log = await Bun.file(join(this.dataDir, "serve.log")).text();
    const found = /rest=(http:\S+)/.exec(log)?.[1];
    if (found === undefined) throw new Error(`no address in the log: ${log}`);
    return found;
  }

  async post(path: string, body: unknown): Promise<unknown> {
    const answer = await this.api(path, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async run(name: string, spec: Record<string, unknown>): Promise<void> {
    await this.post(`/servers/${name}/start`, spec);
  }

  /** A session on the bridge itself, as the front opens one: one arrow of the data path. */
  async bridge(server: string): Promise<Channel> {
    const grant = (await this.post("/sessions", { server, pid: process.pid, ppid: process.ppid })) as Grant;
    const address = grant.addresses[0];
    if (!address) throw new Error(`${server} has no address`);
    const attach = { link: "attach", version: 1, token: grant.token, session: grant.session };
    return tcpChannel(address.host, address.port, `${JSON.stringify(attach)}\n`, 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.manager.kill("SIGTERM");
    await this.manager.exited;
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
