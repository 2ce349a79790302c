/** A client without an SDK, for what an SDK would hide: every line of stdout, the end of the process, its stderr. */
import { expect } from "bun:test";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
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

/** Not `Bun.spawn`: its pipes go on reading when nobody takes what they have read. */
export class RawFront implements AsyncDisposable {
  /** Every message so far. */
  readonly messages: Message[] = [];
  /** Lines of stdout that are not JSON-RPC messages: there must be none, ever. */
  readonly noise: string[] = [];
  /** Bytes of stdout so far. */
  bytes = 0;
  stderr = "";
  readonly process: ChildProcessWithoutNullStreams;
  private readonly closed: Promise<unknown>;
  private rest = "";
  private nextId = 1;

  constructor({ command, args, env }: Launch) {
    this.process = spawn(command, args, { env });
    this.closed = once(this.process, "close");
    this.process.stdout.setEncoding("utf8").on("data", (text: string) => this.read(text));
    this.process.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    // A front that has ended no longer takes anything: its end is what tests look at.
    this.process.stdin.on("error", () => {});
  }

  get pid(): number {
    return this.process.pid ?? Number.NaN;
  }

  send(message: unknown): void {
    this.process.stdin.write(typeof message === "string" ? message : `${JSON.stringify(message)}\n`);
  }

  /** Bytes as they are; resolves when the pipe has taken them. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => this.process.stdin.write(bytes, () => resolve()));
  }

  endInput(): void {
    this.process.stdin.end();
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

  answered(id: string | number, ms = 45_000): Promise<Message> {
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
    await this.closed;
    expect([...this.noise, this.rest]).toEqual([""]);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    this.process.stdout.resume();
    await this.closed;
  }

  private read(text: string): void {
    this.bytes += Buffer.byteLength(text);
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.take(line);
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
}

export const INITIALIZE = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "raw", version: "1" },
};
