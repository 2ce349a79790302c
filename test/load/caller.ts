/** A plain client of the manager's TCP port that calls at a steady pace, whether or not answers come, and notes their times. */

export interface Door {
  port: number;
  token: string;
  server: string;
}

const NEWLINE = 10;

export class Caller implements Disposable {
  /** Of each answer, in ms. */
  times: number[] = [];
  errors = 0;
  sent = 0;
  ended = false;
  private readonly waiting = new Map<number, number>();
  private readonly decoder = new TextDecoder();
  private rest = "";
  private timer: ReturnType<typeof setInterval> | undefined;
  private socket: Bun.Socket | undefined;

  static async open({ port, token, server }: Door): Promise<Caller> {
    const caller = new Caller();
    caller.socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => caller.received(chunk),
        close: () => {
          caller.ended = true;
        },
      },
    });
    caller.socket.write(`${JSON.stringify({ link: "attach", server, token })}\n`);
    await caller.call();
    caller.times = [];
    return caller;
  }

  /** From now on one call each `periodMs`; the first one after a part of it, so that not all callers call at once. */
  begin(periodMs: number, part = 0): void {
    let next = performance.now() + periodMs * part;
    this.timer = setInterval(() => {
      for (; next <= performance.now(); next += periodMs) this.send();
    }, 1);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  get unanswered(): number {
    return this.waiting.size;
  }

  /** One call, and its answer. */
  async call(): Promise<void> {
    const id = this.send();
    while (this.waiting.has(id)) {
      if (this.ended) throw new Error(`the connection ended: ${this.rest}`);
      await Bun.sleep(1);
    }
  }

  [Symbol.dispose](): void {
    this.stop();
    this.socket?.terminate();
  }

  private send(): number {
    const id = this.sent++;
    this.waiting.set(id, performance.now());
    this.socket?.write(callLine(id));
    return id;
  }

  private received(chunk: Uint8Array): void {
    if (chunk.indexOf(NEWLINE) < 0) {
      this.rest += this.decoder.decode(chunk, { stream: true });
      return;
    }
    const lines = (this.rest + this.decoder.decode(chunk, { stream: true })).split("\n");
    this.rest = lines.pop() ?? "";
    const now = performance.now();
    for (const line of lines) {
      const message = JSON.parse(line) as { id?: number; error?: unknown; link?: string };
      if (message.link) {
        this.rest = line;
        continue;
      }
      if (message.error !== undefined) this.errors++;
      const at = this.waiting.get(message.id ?? -1);
      if (at === undefined) throw new Error(`nobody has asked for ${line}`);
      this.waiting.delete(message.id ?? -1);
      this.times.push(now - at);
    }
  }
}

export function callLine(id: number, text = "x".repeat(100)): string {
  return `${JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "echo", arguments: { text } } })}\n`;
}
