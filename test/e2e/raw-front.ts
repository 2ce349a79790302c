/** A client without an SDK, for what an SDK would hide: every line of stdout, the end of the process, its stderr. */
import { expect } from "bun:test";
import { until } from "../support/until.ts";
import type { Launch } from "./launch.ts";

export interface Message {
  jsonrpc: string;
  id?: string | number;
  method?: string;
  result?: Record<string, unknown>;
  error?: { code: number; message: string; data?: Record<string, unknown> };
  params?: Record<string, unknown>;
}

export class RawFront implements AsyncDisposable {
  /** Every message so far. */
  readonly messages: Message[] = [];
  /** Lines of stdout that are not JSON objects: there must be none, ever. */
  readonly noise: string[] = [];
  stderr = "";
  readonly process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  private readonly reading: Promise<unknown>;
  private nextId = 1;

  constructor({ command, args, env }: Launch) {
    this.process = Bun.spawn([command, ...args], { env, stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    this.reading = Promise.all([this.readOut(), this.readErr()]);
  }

  send(message: unknown): void {
    void this.process.stdin.write(typeof message === "string" ? message : `${JSON.stringify(message)}\n`);
    void this.process.stdin.flush();
  }

  notify(method: string, params: unknown = {}): void {
    this.send({ jsonrpc: "2.0", method, params });
  }

  /** Sends a request; its answer is what `answered` finds. */
  ask(method: string, params: unknown = {}): number {
    const id = this.nextId++;
    this.send({ jsonrpc: "2.0", id, method, params });
    return id;
  }

  answered(id: string | number, ms = 15_000): Promise<Message> {
    const find = () => this.messages.find((message) => message.id === id && message.method === undefined);
    return until(`the answer to ${id} (stderr: ${this.stderr})`, find, ms);
  }

  async request(method: string, params: unknown = {}, ms?: number): Promise<Message> {
    return this.answered(this.ask(method, params), ms);
  }

  call(name: string, args: unknown = {}): Promise<Message> {
    return this.request("tools/call", { name, arguments: args });
  }

  async initialize(ms?: number): Promise<Message> {
    const answer = await this.request("initialize", INITIALIZE, ms);
    this.notify("notifications/initialized");
    return answer;
  }

  /** The exit code, after everything was read. Nothing but messages was on stdout. */
  async ended(ms = 10_000): Promise<number> {
    const code = await until(`the end of the front (stderr: ${this.stderr})`, () => this.process.exitCode, ms);
    await this.reading;
    expect(this.noise).toEqual([]);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
  }

  private async readOut(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.process.stdout) {
      rest += decoder.decode(chunk, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.take(line);
    }
    if (rest !== "") this.noise.push(rest);
  }

  private take(line: string): void {
    try {
      const message: Message = JSON.parse(line);
      if (message.jsonrpc === "2.0") this.messages.push(message);
      else this.noise.push(line);
    } catch {
      this.noise.push(line);
    }
  }

  private async readErr(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.process.stderr) this.stderr += decoder.decode(chunk, { stream: true });
  }
}

export const INITIALIZE = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "raw", version: "1" },
};
