/**
 * An engine in memory whose bridges are sockets of this process that keep the wire's rules about sessions: for races by
 * the ten thousand. Every step takes a random number of turns, so that each run of a race is another one.
 */
import { join } from "node:path";
import { formatFrame, parseDialerFrame } from "../../bridge/wire.ts";
import { Fault } from "../../src/base/fault.ts";
import type { ServerSpec } from "../../src/model/server-spec.ts";
import type { Facts, Instance, Labels, Ownership, Runtime } from "../../src/runtime/runtime.ts";

/** Waits for some turns of the event loop. */
export type Turns = () => Promise<void>;

interface Made {
  instance: Instance;
  bridge?: ModelBridge;
}

export class ModelEngine implements Runtime {
  readonly kind = "process";
  private readonly made = new Map<string, Made>();
  private count = 0;
  /** Sessions that lived when their container was taken away. */
  killed = 0;

  constructor(
    private readonly folder: string,
    private readonly turns: Turns,
  ) {}

  async probe(): Promise<Facts> {
    return { version: "1", api: "1", os: "linux", arch: "x64", direct: true, warnings: [] };
  }
  check() {
    return [];
  }
  async prepare(): Promise<void> {
    await this.turns();
  }
  async identify(): Promise<undefined> {}
  async create(spec: ServerSpec, owner: Ownership): Promise<Instance> {
    await this.turns();
    const id = `${spec.name}-${(this.count += 1)}`;
    const { labels, specHash } = owner;
    const base = { id, name: id, specHash, labels, node: "model", addresses: [], since: Date.now() };
    const instance: Instance = { ...base, incarnation: id, state: "pending" };
    this.made.set(id, { instance });
    return instance;
  }
  async start(id: string): Promise<Instance> {
    await this.turns();
    const made = this.get(id);
    const path = join(this.folder, `${id}.sock`);
    made.bridge = new ModelBridge(path, () => this.end(id));
    made.instance = { ...made.instance, state: "running", addresses: [{ kind: "unix", path }] };
    return made.instance;
  }
  async stop(id: string): Promise<void> {
    await this.turns();
    this.killed += this.made.get(id)?.bridge?.sessions ?? 0;
    this.end(id);
  }
  async remove(id: string): Promise<void> {
    await this.stop(id);
    this.made.delete(id);
  }
  async list(labels: Labels): Promise<Instance[]> {
    const wanted = Object.entries(labels);
    const found = [...this.made.values()].map(({ instance }) => instance);
    const fits = found.filter((one) => wanted.every(([name, value]) => one.labels[name] === value));
    await this.turns();
    return fits;
  }
  async inspect(id: string) {
    return { instance: this.get(id).instance, raw: {} };
  }
  watch(_labels: Labels, signal: AbortSignal): AsyncIterable<Instance> {
    // Nothing changes but by the manager itself.
    const over = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    return { [Symbol.asyncIterator]: () => ({ next: () => over.then(() => ({ done: true, value: undefined })) }) };
  }
  logs(): AsyncIterable<never> {
    return { [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }) };
  }
  async clean(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}

  private get(id: string): Made {
    const made = this.made.get(id);
    if (!made) throw new Fault("not-found", `there is no ${id}`);
    return made;
  }

  private end(id: string): void {
    const made = this.made.get(id);
    if (!made?.bridge) return;
    made.bridge.close();
    delete made.bridge;
    made.instance = { ...made.instance, state: "ended", addresses: [] };
  }
}

/** What a bridge does about sessions, and nothing else: its server answers every line with the same line. */
class ModelBridge {
  sessions = 0;
  private draining = false;
  private readonly listener: Bun.UnixSocketListener<State>;
  private readonly sockets = new Set<Bun.Socket<State>>();

  constructor(
    path: string,
    private readonly ended: () => void,
  ) {
    this.listener = Bun.listen<State>({
      unix: path,
      allowHalfOpen: true,
      socket: {
        open: (socket) => {
          socket.data = { rest: "", attached: false };
          this.sockets.add(socket);
        },
        data: (socket, chunk) => {
          const lines = (socket.data.rest + chunk.toString()).split("\n");
          socket.data.rest = lines.pop() ?? "";
          for (const line of lines) this.line(socket, line);
        },
        end: (socket) => void socket.end(),
        close: (socket) => {
          this.sockets.delete(socket);
          if (socket.data.attached) this.sessions -= 1;
        },
      },
    });
  }

  close(): void {
    this.listener.stop(true);
    for (const socket of this.sockets) socket.terminate();
  }

  private line(socket: Bun.Socket<State>, line: string): void {
    const frame = line.startsWith('{"link":') ? parseDialerFrame(line) : undefined;
    if (typeof frame !== "object") return void socket.write(`${line}\n`);
    if (frame.link === "attach") this.attach(socket, frame.mode === "session" ? (frame.session ?? "s") : undefined);
    if (frame.link === "detach" && frame.session === undefined) socket.end();
    if (frame.link === "health") this.health(socket);
    if (frame.link !== "drain") return;
    if (this.sessions === 0) this.draining = true;
    this.health(socket);
    if (this.draining) this.ended();
  }

  private attach(socket: Bun.Socket<State>, session: string | undefined): void {
    if (session !== undefined && this.draining) {
      socket.end(formatFrame({ link: "error", kind: "unreachable", message: "draining" }));
      return;
    }
    if (session !== undefined) {
      socket.data.attached = true;
      this.sessions += 1;
    }
    const limits = { messageBytes: 1_000, queueBytes: 1_000, resumeMs: 0, leaseMs: 0 };
    const base = { link: "attached", version: 1, resumed: false, received: 0, incarnation: "i", limits } as const;
    socket.write(formatFrame({ ...base, ...(session === undefined ? {} : { session }) }));
  }

  private health(socket: Bun.Socket<State>): void {
    const { sessions } = this;
    const status = this.draining ? "draining" : "ok";
    const figures = {
      version: "1",
      uptimeMs: 1,
      processes: sessions,
      sessions,
      connections: 1,
      inFlight: 0,
      dropped: 0,
    };
    socket.write(formatFrame({ link: "health", status, ...figures }));
  }
}

interface State {
  rest: string;
  attached: boolean;
}
