/** Where a legacy conversation's messages go. Lines have one way to the client; HTTP has a stream for each request. */
import type { Id } from "./message.ts";

/** A message for the client, as JSON text. */
export interface Outgoing {
  text: string;
  /** The request of the client in whose course it comes; undefined where it belongs to none. */
  about: Id | undefined;
  /** After the `answer` nothing comes that is about the same request. `question`: the client has to answer it. */
  kind: "answer" | "question" | "note";
}

export interface Outlet {
  send(message: Outgoing): void;
  /** The request was cancelled by the client: it gets no answer. */
  unanswered(about: Id): void;
}
