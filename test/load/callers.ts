/** Clients that call at a steady pace, and one that calls as fast as it can, each sort in a process of its own. */
import { join } from "node:path";
import type { Door } from "./caller.ts";
import type { Ground } from "./ground.ts";

export interface Figures {
  calls: number;
  errors: number;
  /** Under way at this moment. */
  unanswered: number;
  /** Connections that have ended. */
  lost: number;
  /** In ms. */
  p50: number;
  p99: number;
  slowest: number;
}

export class Callers implements AsyncDisposable {
  private readonly lines: AsyncIterator<string>;

  private constructor(private readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.lines = linesOf(child.stdout);
  }

  static steady(ground: Ground, servers: string[], periodMs: number): Promise<Callers> {
    return Callers.start("callers-process.ts", [JSON.stringify(servers.map((name) => doorOf(ground, name))), periodMs]);
  }

  static flood(ground: Ground, server: string): Promise<Callers> {
    return Callers.start("flood-process.ts", [JSON.stringify(doorOf(ground, server))]);
  }

  private static async start(file: string, args: (string | number)[]): Promise<Callers> {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, file), ...args.map(String)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const callers = new Callers(child);
    await callers.next();
    return callers;
  }

  /** Since the last time. */
  async figures(): Promise<Figures> {
    await this.child.stdin.write("?\n");
    await this.child.stdin.flush();
    return (await this.next()) as Figures;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.stdin.end();
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 5_000);
    await this.child.exited;
    clearTimeout(timer);
  }

  private async next(): Promise<unknown> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error("the callers have ended");
    return JSON.parse(value);
  }
}

function doorOf(ground: Ground, server: string): Door {
  return { port: ground.tcpPort, token: ground.token, server };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
