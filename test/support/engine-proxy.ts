/** Stands between a manager and the engine's socket and does what engines do that are in trouble. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "../../src/docker/engine.ts";

/** What becomes of requests whose first line (`GET /v1.41/info HTTP/1.1`) fits. */
interface Rule {
  line: RegExp;
  /** The answer in the engine's place. */
  answer?: { status: number; body: object };
  /** The first line as the engine gets it. */
  line2?: (line: string) => string;
}

export class EngineProxy implements AsyncDisposable {
  readonly rules: Rule[] = [];
  /** The first line of every request so far. */
  readonly asked: string[] = [];
  private server: Server | undefined;
  private readonly open = new Set<Socket>();
  private frozen: "all" | "old" | undefined;
  private waiting: (() => void)[] = [];

  private constructor(
    private readonly engine: Engine,
    private readonly folder: string,
  ) {}

  static async start(engine: Engine): Promise<EngineProxy> {
    const proxy = new EngineProxy(engine, await mkdtemp(join(tmpdir(), "ls-proxy-")));
    await proxy.allow();
    return proxy;
  }

  get path(): string {
    return join(this.folder, "engine.sock");
  }

  /** For DOCKER_HOST. */
  get host(): string {
    return `unix://${this.path}`;
  }

  async allow(): Promise<void> {
    const server = createServer((client) => this.accept(client));
    this.server = server;
    await new Promise<void>((resolve) => server.listen(this.path, resolve));
  }

  /** As an engine that was killed: every connection is cut, the socket is gone. */
  async end(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    const { server } = this;
    this.server = undefined;
    if (server) await new Promise((resolve) => server.close(resolve));
    await rm(this.path, { force: true });
  }

  /** As an engine that is stopped (SIGSTOP): connections are made, nothing is said. `old`: only those of now. */
  freeze(what: "all" | "old" = "all"): void {
    this.frozen = what;
    if (what === "old") for (const socket of this.open) silent.add(socket);
  }

  thaw(): void {
    this.frozen = undefined;
    for (const go of this.waiting.splice(0)) go();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await rm(this.folder, { recursive: true, force: true });
  }

  private accept(client: Socket): void {
    this.keep(client);
    client.once("data", (first: Buffer) => {
      const line = first.toString("latin1").split("\r\n")[0] ?? "";
      this.asked.push(line);
      const rule = this.rules.find((one) => one.line.test(line));
      if (rule?.answer) return answer(client, rule.answer);
      const { endpoint } = this.engine;
      if (endpoint.kind === "ssh") throw new Error("no proxy before an engine behind SSH");
      const far = connect(endpoint.kind === "socket" ? { path: endpoint.path } : endpoint);
      this.keep(far);
      client.on("close", () => far.destroy());
      far.on("close", () => this.pass(far, () => client.destroySoon()));
      const changed = rule?.line2
        ? Buffer.from(first.toString("latin1").replace(line, rule.line2(line)), "latin1")
        : first;
      this.pass(client, () => far.write(changed));
      client.on("data", (chunk: Buffer) => this.pass(client, () => far.write(chunk)));
      far.on("data", (chunk: Buffer) => this.pass(far, () => client.write(chunk)));
    });
  }

  private pass(from: Socket, go: () => void): void {
    if (this.frozen === "all" || (this.frozen === "old" && silent.has(from))) this.waiting.push(go);
    else go();
  }

  private keep(socket: Socket): void {
    this.open.add(socket);
    socket.on("close", () => this.open.delete(socket));
    socket.on("error", () => {});
  }
}

/** Sockets that were there when their proxy froze what is old. */
const silent = new WeakSet<Socket>();

function answer(client: Socket, { status, body }: { status: number; body: object }): void {
  const text = JSON.stringify(body);
  const head = ["HTTP/1.1 " + status + " Proxy", "Content-Type: application/json", "Connection: close"];
  client.end([...head, `Content-Length: ${Buffer.byteLength(text)}`, "", text].join("\r\n"));
}
