/**
 * One request of the modern era over HTTP: a plain answer where the answer comes first, so that it can have its status; a
 * stream from the first notification on. The end of the connection cancels the request.
 */
import type { Request as RpcRequest } from "../../gateway/clients/message.ts";
import type { Answer, ModernDoor } from "../../gateway/clients/modern.ts";
import { Fault } from "../../base/fault.ts";
import { Outlet } from "./outlet.ts";
import { JSON_HEADERS, refusalResponse, statusOf } from "./refusal.ts";

const PLAIN = { headers: JSON_HEADERS };

export interface ModernRequest {
  message: RpcRequest;
  door: ModernDoor;
  principal: string;
  /** Aborts when the client's connection ends. */
  gone: AbortSignal;
  /** Aborts when the caller's credentials do, or the manager. */
  ended: readonly AbortSignal[];
  /** Called once, when nothing of it goes on any more. */
  onDone: () => void;
}

export function answerModern(request: ModernRequest): Promise<Response> {
  const { message, door, principal, gone, ended } = request;
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
      gone.removeEventListener("abort", cancel);
      for (const signal of ended) signal.removeEventListener("abort", cancel);
      if (outlet) {
        if (answer) outlet.write(frame(shown(message, answer)));
        outlet.end();
      } else resolve(answer ? plain(message, answer) : cancelledResponse());
      request.onDone();
    };
    gone.addEventListener("abort", cancel, { once: true });
    for (const signal of ended) signal.addEventListener("abort", cancel, { once: true });
    const emit = (text: string) => void (done || stream().write(frame(text)));
    void door.handle(message, { principal, emit, signal: cancelled.signal }).then(finish);
    // Whoever sent it, or the credentials, may have gone while the body was read.
    if (gone.aborted || ended.some((signal) => signal.aborted)) cancel();
  });
}

function plain(message: RpcRequest, answer: Answer): Response {
  const status = statusOf(answer.code);
  return new Response(shown(message, answer), status === 200 ? PLAIN : { ...PLAIN, status });
}

/** Nobody reads it, unless the credentials have ended meanwhile. */
function cancelledResponse(): Response {
  return refusalResponse(new Fault("cancelled", "the request was cancelled"), undefined);
}

function shown({ method }: RpcRequest, { text }: Answer): string {
  return method === "tools/list" ? withoutHeaderHints(text) : text;
}

/**
 * A tool may ask clients to repeat an argument in a header (`x-mcp-header`), and then whoever serves it over HTTP has to
 * compare the two. The servers here are not reached over HTTP and look at no header, so none is asked for.
 */
function withoutHeaderHints(text: string): string {
  if (!text.includes(HINT)) return text;
  return JSON.stringify(JSON.parse(text, (key, value: unknown) => (key === HINT ? undefined : value)));
}

const HINT = "x-mcp-header";

function frame(text: string): string {
  return `event: message\ndata: ${text}\n\n`;
}
