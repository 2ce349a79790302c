/**
 * What a framing (lines, HTTP, HTTP+SSE, WebSocket) and a leg have to do with each other. A framing finds messages, says
 * who has sent them, and carries text back; it knows nothing of methods. A leg knows the era, and nothing of transports.
 */
import type { Params } from "../exchange.ts";

/** `1` and `"1"` are two ids. */
export type RpcId = string | number;

/** A message as it was parsed: an object, of which nothing else is known. Batches are split by the framing. */
export type Message = Params;

/**
 * Carries one message to a legacy client. `request` is the id of the client's own request that it belongs to: its answer
 * (`last`), progress, log messages and questions while it runs; undefined when it belongs to none.
 */
export type Send = (text: string, request: RpcId | undefined, last: boolean) => void;

/** The conversation of one legacy client, from `initialize` on. */
export interface LegacyLeg {
  /** Never throws: what is wrong with it is answered through `Send`, or dropped. */
  receive(message: Message): void;
  /** The revision that was agreed on; undefined before. */
  readonly version: string | undefined;
  /** The client has gone: what it has asked for is cancelled. Idempotent. */
  close(): Promise<void>;
}

/** How a request of the modern era ends. */
export interface ModernAnswer {
  /** The whole response, ready to be sent. */
  text: string;
  /** Of an error; HTTP makes its status of some. */
  code: number | undefined;
}

/** What one principal asks for in the modern era: requests that know nothing of each other. */
export interface ModernLeg {
  /**
   * Answers one request; `tell` carries the notifications before the answer. The signal cancels. Never rejects.
   * `subscriptions/listen` is a request whose answer comes when it has ended.
   */
  request(message: Message, signal: AbortSignal, tell: (text: string) => void): Promise<ModernAnswer>;
  close(): Promise<void>;
}
