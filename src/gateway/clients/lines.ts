/**
 * One client on lines (stdio, a socket, a WebSocket): each message says which era it is of. Those with the modern
 * envelope are requests that stand for themselves, all others belong to one legacy conversation, which begins with
 * `initialize`. A client that does not read is not read from, and misses what is of no use later.
 */
import type { Upstream } from "../exchange.ts";
import { Batch } from "./batch.ts";
import { LegacyConversation } from "./legacy.ts";
import { CODE, errorText, type Id, type Message, readMessage, type Request } from "./message.ts";
import { isModern } from "./meta.ts";
import { ModernDoor } from "./modern.ts";
import type { Outgoing } from "./outlet.ts";
import type { Seal } from "./seal.ts";

/** Changes that a client which does not read is told of later; the oldest are dropped. */
const LATE_MAX = 256;
const LATE_CHARS_MAX = 1024 * 1024;
const BATCH_MAX = 100;
/** The client has said its last word; what it has asked for is answered within this time. */
const DRAIN_MS = 30_000;

/** What carries the lines of one client. */
export interface LineCarrier {
  /** A message without its newline. False: the buffer is full, until `drained` is called. */
  write(text: string): boolean;
  /** Nothing is read from the client until `resume`. */
  pause(): void;
  resume(): void;
  /** Closes when everything is written. */
  end(): void;
}

export interface ChannelOptions {
  upstream: Upstream;
  seal: Seal;
  /** Of the server or the selection. */
  name: string;
  principal: string;
  carrier: LineCarrier;
}

export class LineChannel {
  private readonly legacy: LegacyConversation;
  private readonly modern: ModernDoor;
  private readonly modernInFlight = new Map<Id, AbortController>();
  /** Those of them that have no end of their own. */
  private readonly listening = new Set<AbortController>();
  private readonly batches = new Set<Batch>();
  private readonly late = new Set<string>();
  private lateChars = 0;
  private full = false;
  private finishing: ReturnType<typeof setTimeout> | undefined;
  private closed = false;

  constructor(private readonly options: ChannelOptions) {
    const { upstream, seal, name, principal } = options;
    const outlet = {
      send: (message: Outgoing) => this.sendLegacy(message),
      unanswered: (id: Id) => this.unanswered(id),
    };
    this.legacy = new LegacyConversation({ upstream, principal, outlet });
    this.modern = new ModernDoor(upstream, { seal, name });
  }

  /** One line of the client, without its newline. */
  receive(line: string): void {
    if (this.closed || line.trim() === "") return;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return this.write(errorText(null, { code: CODE.parse, message: "the line is not JSON" }));
    }
    if (Array.isArray(value)) return this.receiveBatch(value);
    const message = readMessage(value);
    if (message.kind === "request" && isModern(value)) return void this.receiveModern(message);
    if (message.kind === "notification" && this.cancelModern(message)) return;
    this.legacy.receive(message);
  }

  /** The carrier has room again. */
  drained(): void {
    this.full = false;
    for (const text of this.late) {
      if (this.full) return;
      this.forget(text);
      this.write(text);
    }
    if (!this.full) this.options.carrier.resume();
  }

  /** The client sends no more: what it has asked for is answered, then the carrier ends. */
  finish(): void {
    if (this.closed || this.finishing) return;
    this.finishing = setTimeout(() => this.options.carrier.end(), DRAIN_MS);
    for (const abort of this.listening) abort.abort();
    this.endIfDone();
  }

  /** The client is gone. Idempotent. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.finishing);
    for (const abort of this.modernInFlight.values()) abort.abort();
    await Promise.all([this.legacy.close(), this.modern.close()]);
  }

  private async receiveModern(request: Request): Promise<void> {
    const { id, method } = request;
    if (this.modernInFlight.has(id)) {
      return this.write(errorText(id, { code: CODE.invalidRequest, message: "the id is in use" }));
    }
    const abort = new AbortController();
    this.modernInFlight.set(id, abort);
    const keeps = method === "subscriptions/listen";
    if (keeps) this.listening.add(abort);
    const emit = (text: string) => this.note(text, keeps);
    const answer = await this.modern.handle(request, { principal: this.options.principal, emit, signal: abort.signal });
    this.modernInFlight.delete(id);
    this.listening.delete(abort);
    if (answer) this.write(answer.text);
    this.endIfDone();
  }

  /** A cancellation names its request, and thereby its era. */
  private cancelModern({ method, params }: Extract<Message, { kind: "notification" }>): boolean {
    const { requestId } = params;
    if (method !== "notifications/cancelled" || (typeof requestId !== "string" && typeof requestId !== "number")) {
      return false;
    }
    const abort = this.modernInFlight.get(requestId);
    abort?.abort();
    return abort !== undefined;
  }

  private receiveBatch(values: unknown[]): void {
    const refuse = (message: string) => this.write(errorText(null, { code: CODE.invalidRequest, message }));
    if (!this.legacy.batches) return refuse("batches belong to the protocol version 2025-03-26");
    if (values.length === 0 || values.length > BATCH_MAX) return refuse(`a batch has 1 to ${BATCH_MAX} messages`);
    const messages = values.map(readMessage);
    const batch = new Batch(messages, (text) => this.write(text));
    if (batch.open) this.batches.add(batch);
    for (const message of messages) this.legacy.receive(message);
  }

  private sendLegacy({ text, about, kind }: Outgoing): void {
    if (kind === "note") return this.note(text, about === undefined);
    if (kind === "question" || !this.inBatch((batch) => batch.answer(about, text))) this.write(text);
    if (kind === "answer") this.endIfDone();
  }

  private unanswered(id: Id): void {
    this.inBatch((batch) => batch.unanswered(id));
    this.endIfDone();
  }

  private inBatch(use: (batch: Batch) => boolean): boolean {
    for (const batch of this.batches) {
      if (!use(batch)) continue;
      if (!batch.open) this.batches.delete(batch);
      return true;
    }
    return false;
  }

  /** Progress and log messages are of no use later; changes are, once. */
  private note(text: string, keeps: boolean): void {
    if (!this.full) return this.write(text);
    if (!keeps) return;
    if (!this.late.has(text)) this.lateChars += text.length;
    this.late.add(text);
    for (const oldest of this.late) {
      if (this.late.size <= LATE_MAX && this.lateChars <= LATE_CHARS_MAX) return;
      this.forget(oldest);
    }
  }

  private forget(text: string): void {
    if (this.late.delete(text)) this.lateChars -= text.length;
  }

  private write(text: string): void {
    if (this.closed) return;
    const { carrier } = this.options;
    if (carrier.write(text) || this.full) return;
    this.full = true;
    carrier.pause();
  }

  private endIfDone(): void {
    if (!this.finishing || this.closed || this.legacy.pending + this.modernInFlight.size > 0) return;
    clearTimeout(this.finishing);
    this.options.carrier.end();
  }
}
