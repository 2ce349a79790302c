/**
 * What lies between who asks and who answers. A client's leg (src/gateway/clients) speaks one era over one transport and
 * makes exchanges; an upstream (src/gateway/servers: one server; src/gateway/aggregate: several as one) answers them. So
 * two legs and two kinds of server make all four combinations of eras, and neither side knows the other's.
 *
 * A question of a server is where the eras differ most: legacy servers send a request of their own, modern ones end the
 * call with `input_required` and are called again. Here both are `Exchange.ask`, save where client and server are both
 * modern: then the rounds pass through as they are (`rounds`).
 */
import type { Deadline } from "../base/deadline.ts";

/** Legacy: 2024-11-05 to 2025-11-25, `initialize`. Modern: from 2026-07-28 on, `server/discover` and `_meta`. */
export type Era = "legacy" | "modern";

export type Params = Record<string, unknown>;

/** JSON that is passed on as it came, and parsed by who has to look inside. */
export class Json {
  private parsed: unknown;
  private known = false;

  constructor(readonly text: string) {}

  static of(value: unknown): Json {
    const json = new Json(JSON.stringify(value));
    json.parsed = value;
    json.known = true;
    return json;
  }

  /** Not to be changed by who reads it. */
  get value(): unknown {
    if (!this.known) {
      this.parsed = JSON.parse(this.text);
      this.known = true;
    }
    return this.parsed;
  }
}

export interface RpcError {
  code: number;
  message: string;
  data?: unknown;
}

/** The other side has answered with an error, which is passed on as it is. */
export class RpcFault extends Error {
  override readonly name = "RpcFault";

  constructor(readonly error: RpcError) {
    super(error.message);
  }
}

/** What a server may ask of a client, in either era. */
export interface Question {
  method: "elicitation/create" | "sampling/createMessage" | "roots/list";
  params: Params;
}

/** A notification. */
export interface Note {
  method: string;
  params: Params;
}

/** Who asks. */
export interface Client {
  era: Era;
  /** Who it is by its credentials; what belongs to one principal is never given to another. */
  principal: string;
  /** What it calls itself; for show only. */
  info: { name: string; version: string } | undefined;
  /** As declared; a modern client declares them with each request, so they are those of its first one. */
  capabilities: Params;
  /** Legacy clients with a channel only: for questions that belong to no call. Rejects with an `RpcFault`. */
  ask?(question: Question, signal: AbortSignal): Promise<Params>;
  /** Legacy clients only: what belongs to no call and no subscription, such as log messages. */
  tell?(note: Note): void;
}

/** One request of a client. */
export interface Exchange {
  method: string;
  /** Without what belongs to the leg: no `progressToken`, no `io.modelcontextprotocol/*` in `_meta`; other keys stay. */
  params: Params;
  /** Aborts when the client cancels it or goes away. */
  signal: AbortSignal;
  /** What the client declares now (modern), or has declared. */
  capabilities: Params;
  /** Absent where the client did not ask for it. */
  progress?(step: { progress: number; total?: number; message?: string }): void;
  /**
   * Absent where the client wants no log messages. `level` is the least severe one it wants (RFC 5424 names); what a server
   * says below it may be told all the same, and the leg leaves it out.
   */
  log?: { level: string; tell(params: Params): void };
  /**
   * Puts a question to the client; absent where it cannot be reached. Rejects with an `RpcFault`. The signal: the server
   * does not wait for the answer any longer.
   */
  ask?(question: Question, signal: AbortSignal): Promise<Params>;
  /** The client takes `input_required` itself, so a modern server's rounds pass through. */
  rounds: boolean;
  /** A modern client's answers to the round before, and the server's own state, byte for byte. */
  retry?: { responses: Params; state: string | undefined };
}

/** What a client is told of a server before it asks for anything. */
export interface Description {
  /** The era in which it was found out. */
  era: Era;
  serverInfo: Params;
  capabilities: Params;
  instructions: string | undefined;
}

/**
 * How an exchange ends. A result is in the era of who made it; the leg translates it (translate.ts). Faults of our own
 * (the server is gone, no room, …) are thrown as `Fault`.
 */
export type Reply =
  | { kind: "result"; era: Era; result: Json }
  /** Only where `rounds` allows it. */
  | { kind: "input-required"; requests: Record<string, Question>; state: string | undefined; result: Json }
  | { kind: "error"; error: RpcError };

/** What a listener wants to hear of, and what it is granted (2026-07-28, `subscriptions/listen`). */
export interface Filter {
  toolsListChanged?: boolean;
  promptsListChanged?: boolean;
  resourcesListChanged?: boolean;
  resourceSubscriptions?: string[];
}

/** One client's use of an upstream: a legacy session, or all that one principal asks for in the modern era. */
export interface Attachment {
  describe(deadline: Deadline): Promise<Description>;
  request(exchange: Exchange): Promise<Reply>;
  /** What the client tells: `notifications/roots/list_changed`. Not cancellations, which are the exchange's signal. */
  notify(note: Note): void;
  /**
   * Until the signal aborts. Resolves to what is granted, before the first note. Rejects where nothing can be; `ended`
   * is called when the upstream ends it.
   */
  listen(filter: Filter, hear: (note: Note) => void, signal: AbortSignal, ended: () => void): Promise<Filter>;
  close(): Promise<void>;
}

export interface Upstream {
  attach(client: Client): Attachment;
}

/** What the legs are given: every server as one, or one of them. Made by the composition root. */
export interface Gateways {
  /** Faults: `not-found` for an unknown group or profile. */
  all(selection: Selection): Upstream;
  /** Names as the server gives them, nothing added. Faults: `not-found`. */
  one(server: string): Upstream;
}

/** Which part of everything a client gets; all of it when empty. */
export interface Selection {
  group?: string | undefined;
  /** Scopes of the token: server names, and tools as `server__tool` with `*` at the end; undefined: everything. */
  allow?: readonly string[] | undefined;
}
