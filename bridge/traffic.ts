/**
 * What passes between a client and its server, line by line: every message unchanged, nothing else. Keeps count of the
 * requests in flight, so that each can be answered when the server cannot. Pure: no I/O.
 */
import { Calls } from "./calls.ts";
import { type Envelope, type IdKey, NULL_ID, cancelledId, classify, classifyEnds, idText } from "./envelope.ts";
import type { LongLine } from "./lines.ts";
import { isControl } from "./wire.ts";

/** Why a line was not passed on; also what the counters are called. */
export type Dropped =
  /** The server wrote something that is no JSON-RPC message: a banner, a log line. */
  | "noise"
  | "blank line"
  /** Bytes that are no UTF-8, or NUL. */
  | "invalid bytes"
  | "too long"
  /** An answer that nobody waits for: an unknown id, one of another type, or a second answer. */
  | "unexpected answer"
  /** The server wrote a line that its reader would take for a control frame. */
  | "forged frame"
  /** The client wrote something that is no JSON. */
  | "invalid request"
  /** Only with a shared server: it concerns another client's request, or none that is known. */
  | "not its own"
  /** Only with a shared server: nobody can tell which of the clients it is for. */
  | "no owner";

export interface TrafficEvents {
  /** A line that is not passed on. `line` is its beginning. */
  dropped(why: Dropped, from: "client" | "server", line: Uint8Array): void;
  /** A JSON-RPC error of the bridge's own for the client, newline included. */
  reply(line: string): void;
  /** An answer has passed. */
  answered(id: IdKey, error: boolean): void;
  /** An answer has passed, or the client has been told that none will come. */
  settled(): void;
  /** A request of the client passes. */
  request(id: IdKey, bytes: Uint8Array, start: number, end: number): void;
  /** Whether the server has answered a question of the bridge itself. */
  own(id: IdKey): boolean;
}

/** JSON-RPC codes: the standard's own for what the client did wrong, the product's for what happened to the server. */
export const CODES = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  /** MCP: "unsupported protocol version". */
  version: -32022,
  conflict: -32009,
  tooLarge: -32013,
  exhausted: -32029,
  cancelled: -32800,
  serverFailed: -32052,
};

/** Whether a request may be made again is the client's to judge: it hears what is known of it. */
export const OUTCOME = {
  unknown: "whether the request was carried out is not known",
  undone: "the request was not carried out",
};

export class Traffic {
  /** Requests of the client that the server has not answered. */
  readonly calls = new Calls();
  /** Requests of the server that the client has not answered. */
  readonly serverCalls = new Calls();

  constructor(
    private readonly limitBytes: number,
    private readonly events: TrafficEvents,
  ) {}

  /** Whether the client's line is to reach the server. What does not is answered, unless it was blank or an answer. */
  readonly fromClient = (bytes: Uint8Array, start: number, end: number, clean: boolean): boolean => {
    if (!clean) {
      this.reply("null", CODES.parse, "the line is not UTF-8 or has a NUL byte in it");
      return this.drop("invalid bytes", "client", bytes, start, end);
    }
    const envelope = classify(bytes, start, end);
    switch (envelope.kind) {
      case "request":
        this.events.request(envelope.id, bytes, start, end);
        return this.begin(envelope.id) || this.drop("invalid request", "client", bytes, start, end);
      case "response":
        return this.settleServer(envelope) || this.drop("unexpected answer", "client", bytes, start, end);
      case "batch":
        return this.batchFromClient(envelope.items) || this.drop("unexpected answer", "client", bytes, start, end);
      case "notification":
        this.cancel(bytes, start, end);
        return true;
      case "blank":
        return this.drop("blank line", "client", bytes, start, end);
      case "invalid":
        this.reply("null", CODES.parse, "the line is not JSON");
        return this.drop("invalid request", "client", bytes, start, end);
      default:
        // JSON that is no JSON-RPC is the server's to judge: it may know an extension that we do not.
        return true;
    }
  };

  /** Whether the server's line is to reach the client. */
  readonly fromServer = (bytes: Uint8Array, start: number, end: number, clean: boolean): boolean => {
    if (!clean) return this.drop("invalid bytes", "server", bytes, start, end);
    if (isControl(bytes, start, end)) return this.drop("forged frame", "server", bytes, start, end);
    const envelope = classify(bytes, start, end);
    switch (envelope.kind) {
      case "response":
        if (this.settle(envelope)) return true;
        return !this.events.own(envelope.id) && this.drop("unexpected answer", "server", bytes, start, end);
      case "request":
        this.serverCalls.begin(envelope.id);
        return true;
      case "notification":
        return true;
      case "batch":
        return this.batchFromServer(envelope.items) || this.drop("unexpected answer", "server", bytes, start, end);
      case "blank":
        return this.drop("blank line", "server", bytes, start, end);
      default:
        return this.drop("noise", "server", bytes, start, end);
    }
  };

  /** A line of the client over the limit: its request, if its ends show one, is answered when the line has ended. */
  longFromClient(line: LongLine): void {
    if (!line.ended) return this.events.dropped("too long", "client", line.head);
    const envelope = classifyEnds(line.head, line.tail);
    if (envelope?.kind === "notification") return;
    const id = envelope?.kind === "request" ? idText(envelope.id) : "null";
    this.reply(id, CODES.tooLarge, `the message has ${line.bytes} bytes; the limit is ${this.limitBytes}`, "too-large");
  }

  /** A line of the server over the limit: if it was an answer, the client is told that it will not come. */
  longFromServer(line: LongLine): void {
    if (!line.ended) return this.events.dropped("too long", "server", line.head);
    const envelope = classifyEnds(line.head, line.tail);
    if (envelope?.kind !== "response" || !this.calls.settle(envelope.id)) return;
    const message = `the server's answer has ${line.bytes} bytes; the limit is ${this.limitBytes}`;
    this.reply(idText(envelope.id), CODES.tooLarge, message, "too-large");
    this.events.settled();
  }

  /** JSON-RPC errors for all requests in flight, as lines; none is in flight afterwards. `details` are for `error.data`. */
  abandon(message: string, details: Record<string, unknown> = {}): string[] {
    const ids = this.calls.takeAll();
    // The data of one error may have kilobytes of stderr: with very many requests only the message is repeated.
    const data = { kind: "server-failed", ...(ids.length <= 100 ? details : {}) };
    return ids.map((id) => errorLine(idText(id), CODES.serverFailed, message, data));
  }

  private begin(id: IdKey): boolean {
    const refusal = this.calls.begin(id);
    if (refusal !== undefined) {
      const known = typeof id === "number" || id.length < 1_024 ? idText(id) : "null";
      this.reply(known, CODES.exhausted, refusal, "exhausted");
    }
    return refusal === undefined;
  }

  /** A request that the client has given up is not in flight: its server owes nothing. */
  private cancel(bytes: Uint8Array, start: number, end: number): void {
    if (this.calls.size === 0) return;
    const id = cancelledId(bytes, start, end);
    if (id !== undefined && this.calls.cancel(id)) this.events.settled();
  }

  private settleServer(answer: Answer): boolean {
    return this.serverCalls.settle(answer.id) || isComplaint(answer);
  }

  private settle(answer: Answer): boolean {
    if (!this.calls.settle(answer.id)) return isComplaint(answer);
    this.events.answered(answer.id, answer.error);
    this.events.settled();
    return true;
  }

  /** A batch passes whole or not at all: not if all that it has are answers that nobody waits for. */
  private batchFromServer(items: Envelope[]): boolean {
    let passes = false;
    for (const item of items) {
      if (item.kind === "request") this.serverCalls.begin(item.id);
      if (item.kind === "response" ? this.settle(item) : item.kind !== "other") passes = true;
    }
    return passes;
  }

  private batchFromClient(items: Envelope[]): boolean {
    let passes = false;
    for (const item of items) {
      if (item.kind === "response") passes = this.settleServer(item) || passes;
      else passes = item.kind !== "request" || this.begin(item.id) || passes;
    }
    return passes;
  }

  private drop(why: Dropped, from: "client" | "server", bytes: Uint8Array, start: number, end: number): false {
    this.events.dropped(why, from, bytes.subarray(start, Math.min(end, start + 400)));
    return false;
  }

  private reply(id: string, code: number, message: string, kind = "usage"): void {
    this.events.reply(errorLine(id, code, message, { kind }));
  }
}

interface Answer {
  id: IdKey;
  error: boolean;
}

/** An error without an id is how a peer says that it could not read a message at all. */
function isComplaint(answer: Answer): boolean {
  return answer.id === NULL_ID && answer.error;
}

/** A JSON-RPC error as a line, newline included. `id` is JSON already. */
export function errorLine(id: string, code: number, message: string, data: Record<string, unknown>): string {
  return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify({ code, message, data })}}\n`;
}
