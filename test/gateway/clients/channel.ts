/** A client's end of a line channel: as a transport of the SDKs, and message by message. */
import { Seal } from "../../../src/gateway/clients/seal.ts";
import { LineChannel } from "../../../src/gateway/clients/lines.ts";
import type { Upstream } from "../../../src/gateway/exchange.ts";
import { until } from "../../support/until.ts";

export const seal = new Seal(new Uint8Array(32).fill(7));

export interface Message {
  jsonrpc: "2.0";
  id?: string | number | null;
  method?: string;
  params?: Record<string, any>;
  result?: Record<string, any>;
  error?: { code: number; message: string; data?: any };
}

export function openChannel(upstream: Upstream, write: (text: string) => boolean | void, principal = "local") {
  const state = { paused: false, ended: false };
  const carrier = {
    write: (text: string) => write(text) !== false,
    pause: () => void (state.paused = true),
    resume: () => void (state.paused = false),
    end: () => void (state.ended = true),
  };
  const channel = new LineChannel({ upstream, seal, name: "fake", principal, carrier });
  return { channel, state };
}

/** For `client.connect` of either SDK. */
export class ChannelTransport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: any, extra?: any) => void;
  /** All that has come. */
  readonly received: Message[] = [];
  private readonly channel: LineChannel;

  constructor(upstream: Upstream, principal?: string) {
    const deliver = (text: string) => {
      const message = JSON.parse(text);
      this.received.push(message);
      // As over a socket: never in the course of what the client itself does.
      setTimeout(() => this.onmessage?.(message));
    };
    this.channel = openChannel(upstream, deliver, principal).channel;
  }

  async start(): Promise<void> {}

  async send(message: unknown): Promise<void> {
    this.channel.receive(JSON.stringify(message));
  }

  async close(): Promise<void> {
    await this.channel.close();
    this.onclose?.();
  }
}

/** A client that says exactly what it is told to. */
export class RawClient implements AsyncDisposable {
  readonly messages: any[] = [];
  readonly channel: LineChannel;
  readonly state: { paused: boolean; ended: boolean };
  /** What `write` answers. */
  writable = true;
  private nextId = 1;

  constructor(upstream: Upstream, principal?: string) {
    const opened = openChannel(upstream, (text) => (this.messages.push(JSON.parse(text)), this.writable), principal);
    this.channel = opened.channel;
    this.state = opened.state;
  }

  send(message: unknown): void {
    this.channel.receive(typeof message === "string" ? message : JSON.stringify(message));
  }

  notify(method: string, params: unknown = {}): void {
    this.send({ jsonrpc: "2.0", method, params });
  }

  ask(method: string, params: unknown = {}): number {
    const id = this.nextId++;
    this.send({ jsonrpc: "2.0", id, method, params });
    return id;
  }

  answered(id: number | string): Promise<Message> {
    return until(`the answer to ${id}`, () => this.messages.find((one) => one.id === id && one.method === undefined));
  }

  async request(method: string, params: unknown = {}): Promise<Message> {
    return await this.answered(this.ask(method, params));
  }

  heard(method: string, ms?: number): Promise<Message> {
    return until(method, () => this.messages.find((message) => message.method === method), ms);
  }

  async initialize(protocolVersion = "2025-11-25", capabilities: unknown = {}): Promise<Message> {
    const clientInfo = { name: "raw", version: "1" };
    const answer = await this.request("initialize", { protocolVersion, capabilities, clientInfo });
    this.notify("notifications/initialized");
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.channel.close();
  }
}

/** Params of a modern request. */
export function modern(params: Record<string, unknown> = {}, capabilities: unknown = {}, meta: object = {}) {
  return {
    ...params,
    _meta: {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": capabilities,
      ...meta,
    },
  };
}
