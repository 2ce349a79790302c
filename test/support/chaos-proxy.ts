/**
 * A TCP proxy that breaks connections on request: after so many bytes in one direction (in the middle of a line, too),
 * by reset or by end of stream, or by going silent; and that delays or slices what passes.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

export interface Cut {
  /** Bytes of one connection that still pass in that direction. */
  after: number;
  direction: "up" | "down";
  how: "reset" | "end" | "silence";
}

export class ChaosProxy implements AsyncDisposable {
  /** Connections made so far. */
  connections = 0;
  /** Each new connection takes the next one; without any it passes everything. */
  readonly cuts: Cut[] = [];
  /** Passes so many bytes at a time, and waits before each. Of connections made from now on. */
  slices: { bytes: () => number; delayMs: () => number } | undefined;
  /** No new connection gets through. */
  refusing = false;
  private readonly open = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    /** The port behind the proxy, for connections made from now on. */
    public target: number,
  ) {
    server.on("connection", (near) => this.accept(near));
  }

  static start(target: number): Promise<ChaosProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => resolve(new ChaosProxy(server, target)));
    });
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  get live(): number {
    return this.open.size / 2;
  }

  /** Cuts every connection now. */
  cutAll(how: Cut["how"] = "reset"): void {
    for (const socket of this.open) {
      if (how === "reset") socket.resetAndDestroy();
      else if (how === "end") socket.end();
      else socket.pause();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.open) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private accept(near: Socket): void {
    if (this.refusing) return void near.resetAndDestroy();
    this.connections++;
    const cut = this.cuts.shift();
    const { slices } = this;
    const far = connect({ port: this.target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    for (const socket of [near, far]) {
      this.open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.open.delete(socket);
        (socket === near ? far : near).destroy();
      });
    }
    if (slices) {
      slice(near, far, slices);
      slice(far, near, slices);
      return;
    }
    pipe(near, far, () => breakOff(near, far, cut), cut?.direction === "up" ? cut.after : undefined);
    pipe(far, near, () => breakOff(near, far, cut), cut?.direction === "down" ? cut.after : undefined);
  }
}

function breakOff(near: Socket, far: Socket, cut: Cut | undefined): void {
  for (const socket of [near, far]) {
    if (cut?.how === "end") socket.end();
    else if (cut?.how === "silence") socket.pause();
    else socket.resetAndDestroy();
  }
}

function pipe(from: Socket, to: Socket, broken: () => void, bytesLeft: number | undefined): void {
  let left = bytesLeft;
  let over = false;
  from.on("data", (chunk: Buffer) => {
    if (over) return;
    const part = left === undefined ? chunk : chunk.subarray(0, left);
    if (left !== undefined) left -= part.length;
    if (!to.write(part)) {
      from.pause();
      to.once("drain", () => over || from.resume());
    }
    if (left !== 0 || part.length === chunk.length) return;
    over = true;
    // What has passed is to arrive before the break, so that the cut is where it was asked for.
    if (to.writableLength === 0) setImmediate(broken);
    else to.once("drain", broken);
  });
  from.on("end", () => over || to.end());
}

function slice(from: Socket, to: Socket, slices: { bytes: () => number; delayMs: () => number }): void {
  const pass = async () => {
    for await (const chunk of from) {
      for (let rest: Buffer = chunk; rest.length > 0 && !to.destroyed;) {
        const bytes = Math.max(1, slices.bytes());
        const ms = slices.delayMs();
        if (ms > 0) await Bun.sleep(ms);
        else await new Promise((resolve) => setImmediate(resolve));
        to.write(rest.subarray(0, bytes));
        rest = rest.subarray(bytes);
      }
    }
    to.end();
  };
  pass().catch(() => {});
}
