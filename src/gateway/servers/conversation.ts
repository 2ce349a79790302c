/**
 * JSON-RPC with one server process: requests with ids of our own, each with one end; progress; cancellation; back-pressure.
 * It knows nothing of eras. What belongs to no request is dropped: answers that nobody waits for (unknown, repeated, late),
 * progress of what is over.
 */
import { isRecord } from "../clients/message.ts";
import { isTooDeep } from "../../base/depth.ts";
import { Fault, FAULT_KINDS } from "../../base/fault.ts";
import type { Exchange, Json, Params, RpcError } from "../exchange.ts";
import type { Lines } from "./lines.ts";
import { errorLine, type Incoming, noteLine, type QuestionId, read, requestLine, resultLine } from "./message.ts";

/** Requests in flight on one process, without those that never end. */
const IN_FLIGHT_MAX = 1_024;
/** `subscriptions/listen` on one process; the SDK's own limit. */
const ENDLESS_MAX = 1_024;
/** What waits for a server that does not read, UTF-16 units. */
const OUTBOX_CHARS_MAX = 64 * 1024 * 1024;
/** A request that was neither answered nor progressed for so long is given up. */
const QUIET_MS = 600_000;
const SWEEP_MS = 30_000;
/** A bridge that has said that the server has ended closes the session at once. */
const RETIRE_MS = 1_000;

export type Answer = { result: Json } | { error: RpcError };

export interface Ears {
  question(id: QuestionId, method: string, params: Params): void;
  /** Every notification but progress. */
  note(method: string, params: Params): void;
  /** Nothing more can be asked; exactly once. Whatever is in flight is, or will be, answered or rejected. */
  ended(fault: Fault): void;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  progress?: Exchange["progress"];
  /** It is to be open until somebody ends it. */
  endless?: boolean;
  /** The id under which the server knows it, before it is sent. */
  sent?(id: number): void;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(fault: Fault): void;
  method: string;
  progress: Exchange["progress"];
  /** When anything was heard of it; infinite where it may take for ever. */
  heardAt: number;
  signal: AbortSignal | undefined;
  abort: () => void;
}

export class Conversation {
  /** Why nothing more can be asked; undefined while it can. */
  over: Fault | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private endless = 0;
  private lastId = 0;
  private outbox: string[] = [];
  private outboxChars = 0;
  private blocked = false;
  private readonly sweeper: ReturnType<typeof setInterval>;
  private retiring: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly lines: Lines,
    private readonly ears: Ears,
    private readonly quietMs = QUIET_MS,
  ) {
    this.sweeper = setInterval(() => this.sweep(), Math.min(SWEEP_MS, quietMs / 2));
    this.sweeper.unref();
    lines.open({
      line: (line) => {
        for (const message of read(line)) this.receive(message);
      },
      drained: () => this.flush(),
      ended: (fault) => this.end(fault),
    });
  }

  /** Requests that wait for an answer, without those that never end. */
  get inFlight(): number {
    return this.waiting.size - this.endless;
  }

  /** Rejects with a `Fault`: the process has ended, `cancelled`, `timeout`, `exhausted`, `too-large`. */
  call(method: string, params: Params, options: CallOptions = {}): Promise<Answer> {
    const { signal, progress, endless = false } = options;
    const refused = this.refusal(signal, method, endless);
    if (refused) return Promise.reject(refused);
    if (isTooDeep(params)) return Promise.reject(new Fault("invalid", `${method} is nested too deeply`));
    const id = ++this.lastId;
    const line = requestLine(id, method, progress ? withToken(params, id) : params);
    const tooLarge = this.tooLarge(line);
    if (tooLarge) return Promise.reject(tooLarge);
    return new Promise((resolve, reject) => {
      const heardAt = endless ? Infinity : performance.now();
      const abort = () => this.giveUp(id, new Fault("cancelled", `${method} was cancelled`));
      this.waiting.set(id, { resolve, reject, method, progress, heardAt, signal, abort });
      if (endless) this.endless += 1;
      signal?.addEventListener("abort", abort);
      options.sent?.(id);
      this.send(line);
    });
  }

  notify(method: string, params: Params): void {
    if (!this.over && !isTooDeep(params)) this.send(noteLine(method, params));
  }

  reply(id: QuestionId, result: Params): void {
    if (isTooDeep(result))
      return this.refuse(id, { code: -32603, message: "the client's answer is nested too deeply" });
    if (!this.over) this.send(resultLine(id, result));
  }

  refuse(id: QuestionId, error: RpcError): void {
    const { code, message } = error;
    if (!this.over) this.send(errorLine(id, isTooDeep(error.data) ? { code, message } : error));
  }

  /** There is life in what is in flight, though it shows no progress: the server asks, or somebody has answered it. */
  touch(): void {
    const now = performance.now();
    for (const waiting of this.waiting.values()) if (waiting.heardAt !== Infinity) waiting.heardAt = now;
  }

  /** An endless request that the server has ended in another way than by answering it. */
  settle(id: number, error: RpcError): void {
    this.take(id)?.resolve({ error });
  }

  close(): void {
    this.lines.close();
  }

  private refusal(signal: AbortSignal | undefined, method: string, endless: boolean): Fault | undefined {
    if (this.over) return this.over;
    if (signal?.aborted) return new Fault("cancelled", `${method} was cancelled`);
    const full = endless ? this.endless >= ENDLESS_MAX : this.inFlight >= IN_FLIGHT_MAX;
    if (full || this.outboxChars > OUTBOX_CHARS_MAX) {
      return new Fault("exhausted", "the server has too many requests in flight; this one was not sent to it");
    }
    return undefined;
  }

  private tooLarge(line: string): Fault | undefined {
    const limitBytes = this.lines.messageBytes;
    // No UTF-16 unit has more than three bytes in UTF-8.
    if (line.length * 3 <= limitBytes) return undefined;
    const bytes = Buffer.byteLength(line);
    if (bytes <= limitBytes) return undefined;
    return new Fault("too-large", `the message has ${bytes} bytes; this server takes ${limitBytes}`, {
      hint: "Raise limits.message of the server.",
      data: { bytes, limitBytes },
    });
  }

  private receive(message: Incoming): void {
    switch (message.kind) {
      case "result":
        return this.take(message.id)?.resolve({ result: message.result });
      case "error":
        this.take(message.id)?.resolve({ error: message.error });
        return this.retire(message.error);
      case "request":
        if (isTooDeep(message.params)) return this.refuse(message.id, { code: -32602, message: "nested too deeply" });
        return this.ears.question(message.id, message.method, message.params);
      case "note":
        if (isTooDeep(message.params)) return;
        if (message.method === "notifications/progress") return this.progress(message.params);
        return this.ears.note(message.method, message.params);
    }
  }

  private take(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id);
    if (!waiting) return undefined;
    this.waiting.delete(id);
    if (waiting.heardAt === Infinity) this.endless -= 1;
    waiting.signal?.removeEventListener("abort", waiting.abort);
    return waiting;
  }

  private giveUp(id: number, fault: Fault): void {
    const waiting = this.take(id);
    if (!waiting) return;
    // `initialize` must not be cancelled; who gives up on it closes the session.
    if (waiting.method !== "initialize") {
      this.notify("notifications/cancelled", { requestId: id, reason: fault.message });
    }
    waiting.reject(fault);
  }

  private progress({ progressToken, progress, total, message }: Params): void {
    const waiting = typeof progressToken === "number" ? this.waiting.get(progressToken) : undefined;
    if (!waiting?.progress || typeof progress !== "number") return;
    if (waiting.heardAt !== Infinity) waiting.heardAt = performance.now();
    waiting.progress({
      progress,
      ...(typeof total === "number" ? { total } : {}),
      ...(typeof message === "string" ? { message } : {}),
    });
  }

  private send(line: string): void {
    if (!this.blocked) {
      this.blocked = !this.lines.send(line);
      return;
    }
    this.outbox.push(line);
    this.outboxChars += line.length;
  }

  private flush(): void {
    this.blocked = false;
    let sent = 0;
    while (sent < this.outbox.length && !this.blocked) {
      const line = this.outbox[sent++] ?? "";
      this.outboxChars -= line.length;
      this.blocked = !this.lines.send(line);
    }
    this.outbox.splice(0, sent);
  }

  private sweep(): void {
    const before = performance.now() - this.quietMs;
    for (const [id, { heardAt, method }] of this.waiting) {
      if (heardAt > before) continue;
      const seconds = Math.round(this.quietMs / 1_000);
      this.giveUp(
        id,
        new Fault("timeout", `the server has not answered ${method}, nor told of progress, for ${seconds} s`),
      );
    }
  }

  /** The bridge answers for a server that has ended before it says so: nothing is to be asked of it in between. */
  private retire({ code, message, data }: RpcError): void {
    if (this.over || code !== FAULT_KINDS["server-failed"].rpc || !isRecord(data) || !("signal" in data)) return;
    this.over = new Fault("server-failed", message, { data });
    // Unless it was the server that said so.
    this.retiring = setTimeout(() => this.lines.close(), RETIRE_MS);
    this.ears.ended(this.over);
  }

  private end(fault: Fault): void {
    const retired = this.over !== undefined;
    this.over ??= fault;
    clearInterval(this.sweeper);
    clearTimeout(this.retiring);
    this.outbox = [];
    this.outboxChars = 0;
    for (const id of this.waiting.keys()) this.take(id)?.reject(fault);
    if (!retired) this.ears.ended(fault);
  }
}

function withToken(params: Params, progressToken: number): Params {
  const { _meta } = params;
  return { ...params, _meta: { ...(typeof _meta === "object" ? _meta : {}), progressToken } };
}
