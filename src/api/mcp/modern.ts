/**
 * One request of the modern era over HTTP: a plain answer where the answer comes first, so that it can have its status; a
 * stream from the first notification on. The end of the connection cancels the request.
 */
import type { Request as RpcRequest } from "../../gateway/clients/message.ts";
import type { Answer, ModernDoor } from "../../gateway/clients/modern.ts";
import { Fault } from "../../base/fault.ts";
import { Outlet } from "./outlet.ts";
import type { ParamHeaders } from "./param-headers.ts";
import { JSON_HEADERS, refusalResponse, statusOf } from "./refusal.ts";

const TOOLS_CHANGED = '"method":"notifications/tools/list_changed"';
const PLAIN = { headers: JSON_HEADERS };

export interface ModernRequest {
  message: RpcRequest;
  door: ModernDoor;
  /** What the tools say about headers. */
  hints: ParamHeaders;
  principal: string;
  /** Aborts when the client's connection ends. */
  gone: AbortSignal;
  /** Aborts when the caller's credentials do, or the manager. */
  ended: readonly AbortSignal[];
  /** Called once, when nothing of it goes on any more. */
  onDone: () => void;
}

export function answerModern(request: ModernRequest): Promise<Response> {
  const { message, door, hints, principal, gone, ended } = request;
  return new Promise<Response>((resolve) => {
    const cancelled = new AbortController();
    const cancel = () => {
      cancelled.abort();
      // Whoever answers may take its time to notice.
      finish(undefined);
    };
    let done = false;
    let outlet: Outlet | undefined;
    const stream = () => {
      if (outlet) return outlet;
      outlet = new Outlet(cancel);
      resolve(outlet.response());
      return outlet;
    };
    const finish = (answer: Answer | undefined) => {
      if (done) return;
      done = true;
      const isList = message.method === "tools/list" && answer !== undefined && answer.code === undefined;
      if (isList) hints.passed(message, answer.text, principal);
      gone.removeEventListener("abort", cancel);
      for (const signal of ended) signal.removeEventListener("abort", cancel);
      if (outlet) {
        if (answer) outlet.write(frame(answer.text));
        outlet.end();
      } else resolve(answer ? plain(answer) : cancelledResponse());
      request.onDone();
    };
    gone.addEventListener("abort", cancel, { once: true });
    for (const signal of ended) signal.addEventListener("abort", cancel, { once: true });
    const listens = message.method === "subscriptions/listen";
    const emit = (text: string) => {
      if (listens && text.includes(TOOLS_CHANGED)) hints.forget(principal);
      if (!done) stream().write(frame(text));
    };
    void door.handle(message, { principal, emit, signal: cancelled.signal }).then(finish);
    // Whoever sent it, or the credentials, may have gone while the body was read.
    if (gone.aborted || ended.some((signal) => signal.aborted)) cancel();
  });
}

function plain(answer: Answer): Response {
  const status = statusOf(answer.code);
  return new Response(answer.text, status === 200 ? PLAIN : { ...PLAIN, status });
}

/** Nobody reads it, unless the credentials have ended meanwhile. */
function cancelledResponse(): Response {
  return refusalResponse(new Fault("cancelled", "the request was cancelled"), undefined);
}

function frame(text: string): string {
  return `event: message\ndata: ${text}\n\n`;
}
