/** A bridge in a process of its own, from the compiled executable, and a client that speaks its wire line by line. */
import { connect, type Socket } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BridgeFrame } from "../../bridge/wire.ts";
import { BINARY } from "./binary.ts";
import { until } from "./until.ts";

export const TOKEN = "a-token-for-tests";
const TOKEN_SHA256 = new Bun.CryptoHasher("sha256").update(TOKEN).digest("hex");
const FIXTURES = join(import.meta.dir, "../fixtures");

/** The command of a fixture: `.ts` runs on the Bun of the tests, `.sh` on sh. */
export function fixture(name: string, ...args: string[]): string[] {
  return [name.endsWith(".sh") ? "sh" : process.execPath, join(FIXTURES, name), ...args];
}

export interface TestBridgeOptions {
  /** Started with `--token-sha256`; true unless told otherwise. */
  token?: boolean;
  args?: string[];
  env?: Record<string, string>;
  cwd?: string;
  /** Where it listens, and is dialled; loopback unless told otherwise. */
  host?: string;
  /** Put in front of the executable, such as `prlimit …`. */
  launcher?: string[];
}

export class TestBridge implements AsyncDisposable {
  /** The last 256 KiB of its stderr. */
  stderr = "";
  private readonly clients: LineClient[] = [];

  private constructor(
    private readonly folder: string,
    readonly process: Bun.Subprocess<"ignore", "ignore", "pipe">,
    public port: number,
    readonly host: string,
  ) {
    void this.readStderr();
  }

  static async start(command: string[], options: TestBridgeOptions = {}): Promise<TestBridge> {
    const folder = await mkdtemp(join(tmpdir(), "linkspan-bridge-"));
    const portFile = join(folder, "port");
    const token = options.token === false ? [] : ["--token-sha256", TOKEN_SHA256];
    const { host = "127.0.0.1" } = options;
    const flags = ["--listen", `${host}:0`, "--port-file", portFile, ...token, ...(options.args ?? [])];
    const child = Bun.spawn({
      cmd: [...(options.launcher ?? []), BINARY, "bridge", ...flags, "--", ...command],
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const bridge = new TestBridge(folder, child, 0, host);
    try {
      const address = await until("the port file of the bridge", async () => {
        if (child.exitCode !== null) throw new Error(`the bridge exited with ${child.exitCode}: ${bridge.stderr}`);
        return (await Bun.file(portFile).exists()) && (await Bun.file(portFile).text()).trim();
      });
      bridge.port = Number(address.slice(address.lastIndexOf(":") + 1));
      return bridge;
    } catch (error) {
      await bridge[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A connection on which nothing was said yet. */
  async connect(): Promise<LineClient> {
    const client = await LineClient.connect(this.port, this.host);
    this.clients.push(client);
    return client;
  }

  /** A session on the full wire; `attached` has come. */
  async attach(fields: Record<string, unknown> = {}): Promise<LineClient> {
    const client = await this.connect();
    client.send({ link: "attach", version: 1, token: TOKEN, ...fields });
    await client.frame("attached");
    return client;
  }

  /** A control connection. */
  control(): Promise<LineClient> {
    return this.attach({ mode: "control" });
  }

  /** A session that is sent nothing but JSON-RPC. */
  async plain(): Promise<LineClient> {
    const client = await this.connect();
    client.send({ link: "attach", token: TOKEN });
    return client;
  }

  /** Private memory in bytes (RssAnon). */
  async privateBytes(): Promise<number> {
    const status = await Bun.file(`/proc/${this.process.pid}/status`).text();
    return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  /** Exit status once it has ended; rejects if it does not end in time. */
  exited(ms = 10_000): Promise<number> {
    return until("the end of the bridge", () => (this.process.exitCode === null ? undefined : this.process), ms).then(
      (ended) => ended.exitCode ?? -1,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.clients) client.destroy();
    if (this.process.exitCode === null) this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 8_000);
    await this.process.exited;
    clearTimeout(timer);
    await rm(this.folder, { recursive: true, force: true });
  }

  private async readStderr(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.process.stderr) {
      this.stderr = (this.stderr + decoder.decode(chunk, { stream: true })).slice(-256 * 1024);
    }
  }
}

/** A TCP client that gets lines, one at a time. Reads only while somebody waits for a line, when told so. */
export class LineClient {
  /** Bytes of payload and frames received so far. */
  receivedBytes = 0;
  /** Lines that nobody has asked for yet; acknowledgements are in `acknowledged`. */
  readonly lines: string[] = [];
  /** What the bridge has received, as it says. */
  acknowledged = 0;
  ended = false;
  closed = false;
  error: Error | undefined;
  private rest: Buffer[] = [];

  private constructor(readonly socket: Socket) {
    socket.on("data", (chunk) => this.data(Buffer.from(chunk)));
    socket.on("end", () => (this.ended = true));
    socket.on("error", (error) => (this.error = error));
    socket.on("close", () => (this.closed = true));
  }

  static connect(port: number, host = "127.0.0.1"): Promise<LineClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new LineClient(socket));
      });
    });
  }

  /** An object is sent as JSON, with a newline; text and bytes as they are. */
  send(message: object | string | Uint8Array): void {
    const raw = typeof message === "string" || message instanceof Uint8Array;
    this.socket.write(raw ? message : `${JSON.stringify(message)}\n`);
  }

  /** A request; `line` has its answer. */
  request(id: number | string, method: string, params: unknown = {}): void {
    this.send({ jsonrpc: "2.0", id, method, params });
  }

  /** The next line. Rejects when the connection ends before or nothing comes in time. */
  async line(ms = 10_000): Promise<string> {
    return await until(
      "a line from the bridge",
      () => {
        const line = this.lines.shift();
        if (line === undefined && (this.ended || this.closed)) throw new Error("the connection ended without a line");
        return line;
      },
      ms,
    );
  }

  /** The next line as JSON. */
  async message(ms = 10_000): Promise<Message> {
    return JSON.parse(await this.line(ms)) as Message;
  }

  /** The next control frame of that kind; whatever comes before it is left out. */
  async frame<K extends BridgeFrame["link"]>(link: K, ms = 10_000): Promise<Extract<BridgeFrame, { link: K }>> {
    for (;;) {
      const line = await this.line(ms);
      if (line.startsWith(`{"link":"${link}"`)) return JSON.parse(line) as Extract<BridgeFrame, { link: K }>;
      if (line.startsWith('{"link":"error"')) throw new Error(`the bridge refused: ${line}`);
    }
  }

  /** Everything up to the end of the connection, as lines. */
  async toEnd(ms = 10_000): Promise<string[]> {
    await until("the end of the connection", () => this.ended || this.closed, ms);
    return this.lines.splice(0);
  }

  /** Half-close: nothing more will be sent. */
  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private data(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(10, start);
      if (end < 0) break;
      const line = Buffer.concat([...this.rest, chunk.subarray(start, end)]).toString();
      const acknowledged = /^\{"link":"ack","received":(\d+)\}$/.exec(line);
      if (acknowledged) this.acknowledged = Number(acknowledged[1]);
      else this.lines.push(line);
      this.rest = [];
      start = end + 1;
    }
    if (start < chunk.length) this.rest.push(chunk.subarray(start));
  }
}

/** What tests look at in a JSON-RPC message. */
export interface Message {
  link?: string;
  id?: number | string | null;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { code: number; message: string; data: Record<string, unknown> };
}
