/** The three forms of a call to the manager: JSON, a progress stream with a result at its end, a stream to follow. */
import * as v from "valibot";
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { REQUEST_MS, START_MS } from "../../model/rest.ts";
import { type ProgressView, problem, progressView } from "../../model/views.ts";
import {
  bodyText,
  connectionFault,
  type Exchange,
  exchange,
  exchangeJson,
  faultOf,
  type ManagerTarget,
  parseAnswer,
  parseWith,
  serverTimeout,
} from "./http.ts";
import { readEvents, readLines } from "./streams.ts";

export interface Options {
  /** 60 s when absent; ten minutes for what may have to fetch an image. */
  deadline?: Deadline;
}

export interface ProgressOptions extends Options {
  /** Called with each step while the answer is awaited. */
  report?: (progress: ProgressView) => void;
}

export class ManagerCalls {
  constructor(readonly target: ManagerTarget) {}

  /** `waits`: the route takes a `timeoutMs`, so that the manager gives up first, with the better message. */
  protected json<S extends v.GenericSchema>(
    schema: S,
    method: "GET" | "POST",
    path: string,
    what: string,
    options: Options = {},
    waits = false,
    body?: unknown,
  ): Promise<v.InferOutput<S>> {
    const deadline = options.deadline ?? Deadline.in(REQUEST_MS);
    const query = waits ? { query: { timeoutMs: serverTimeout(deadline) } } : {};
    const sent = body === undefined ? {} : { body };
    return exchangeJson(this.target, schema, { method, path, signal: deadline.signal, what, ...query, ...sent });
  }

  /** A POST whose answer comes as NDJSON: progress lines, then the result or the problem. */
  protected async progress<S extends v.GenericSchema>(
    schema: S,
    path: string,
    body: unknown,
    what: string,
    { deadline, report }: ProgressOptions,
  ): Promise<v.InferOutput<S>> {
    // Without one of ours the manager's own holds; ours only ends a wait for a manager that says nothing at all.
    const { signal } = deadline ?? Deadline.in(START_MS + GRACE_MS);
    const query = deadline ? { timeoutMs: serverTimeout(deadline) } : {};
    const request: Exchange = { method: "POST", path, query, body, accept: NDJSON, signal, what };
    const response = await exchange(this.target, request);
    if (!isType(response, NDJSON)) {
      return parseAnswer(schema, await bodyText(this.target, request, response), what);
    }
    for await (const text of this.guarded(request, readLines(bodyOf(response)))) {
      if (text.trim() === "") continue;
      const step = parseAnswer(progressLine, text, what);
      if (step.error) throw faultOf(step.error);
      if (step.progress) report?.(step.progress);
      else return parseWith(schema, step.result, what);
    }
    throw connectionFault(this.target, request, new Error("the answer ended before its result"));
  }

  protected async *follow<S extends v.GenericSchema>(
    schema: S,
    path: string,
    query: Exchange["query"],
    what: string,
    outer: AbortSignal | undefined,
  ): AsyncGenerator<v.InferOutput<S>> {
    // Leaving the loop early must close the connection: a manager counts its listeners.
    const left = new AbortController();
    const signal = outer ? AbortSignal.any([outer, left.signal]) : left.signal;
    const request: Exchange = { method: "GET", path, query: query ?? {}, accept: SSE, signal, what };
    try {
      const response = await exchange(this.target, request);
      for await (const { event, data } of this.guarded(request, readEvents(bodyOf(response)))) {
        if (event === "end") return;
        if (event === "problem") throw faultOf(parseAnswer(problem, data, what));
        yield parseAnswer(schema, data, what);
      }
      throw connectionFault(this.target, request, new Error("the stream ended without saying so"));
    } catch (error) {
      // The caller has ended it: that is the end of the stream, not a failure.
      if (outer?.aborted) return;
      throw error;
    } finally {
      left.abort();
    }
  }

  /** The stream, with a connection that breaks in the middle as a fault. */
  private async *guarded<T>(request: Exchange, stream: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* stream;
    } catch (error) {
      throw connectionFault(this.target, request, error);
    }
  }
}

/** A line of a progress stream: one of the three. */
const progressLine = v.object({
  progress: v.optional(progressView),
  error: v.optional(problem),
  result: v.optional(v.unknown()),
});
const GRACE_MS = 10_000;
const NDJSON = "application/x-ndjson";
const SSE = "text/event-stream";

function isType(response: Response, type: string): boolean {
  return response.headers.get("content-type")?.startsWith(type) === true;
}

function bodyOf(response: Response): ReadableStream<Uint8Array> {
  if (!response.body) throw new Fault("internal", "the manager's answer has no body");
  return response.body;
}
