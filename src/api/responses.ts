/** The forms of an answer: JSON, a progress stream (NDJSON), lines of text, server-sent events. */
import { Fault } from "../base/fault.ts";
import type { ProgressView } from "../model/views.ts";
import { problemOf } from "./problem.ts";

export const JSON_TYPE = "application/json";
export const NDJSON_TYPE = "application/x-ndjson";
export const SSE_TYPE = "text/event-stream";
const TEXT_TYPE = "text/plain";

/** A quiet stream says that it lives this often: proxies cut what is silent, and a dead reader is found by writing. */
const KEEPALIVE_MS = 15_000;
/** A client that takes nothing of an answer for so long holds up what makes it. */
const UNREAD_MS = 600_000;

export function jsonResponse(value: unknown): Response {
  return new Response(`${JSON.stringify(value)}\n`, { headers: { "content-type": JSON_TYPE } });
}

export function textResponse(text: string, type = `${TEXT_TYPE}; charset=utf-8`): Response {
  return new Response(text, { headers: { "content-type": type } });
}

/** Whether the client asks for this type by name; a wildcard asks for the plain answer. */
export function wants(request: Request, type: string): boolean {
  const accepted = request.headers.get("accept") ?? "";
  return accepted.split(",").some((one) => one.split(";")[0]?.trim().toLowerCase() === type);
}

/** `{"progress":…}` lines while the work goes on, then `{"result":…}` or `{"error":…}`. */
export function progressResponse(work: (report: (progress: ProgressView) => void) => Promise<unknown>): Response {
  const lines = new Outlet();
  const line = (value: unknown) => lines.write(`${JSON.stringify(value)}\n`);
  const keepalive = setInterval(() => lines.write("\n"), KEEPALIVE_MS);
  // The work goes on without its reader: half a start helps nobody.
  work((progress) => line({ progress }))
    .then(
      (result) => line({ result }),
      (error: unknown) => line({ error: problemOf(error) }),
    )
    .finally(() => {
      clearInterval(keepalive);
      lines.end();
    });
  return new Response(lines.stream, { headers: { "content-type": NDJSON_TYPE } });
}

/** Items as lines of text, taken from their source only as fast as the client reads. */
export function linesResponse(lines: AsyncIterable<string>): Response {
  const encoder = new TextEncoder();
  const source = lines[Symbol.asyncIterator]();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await source.next();
      if (next.done) controller.close();
      else controller.enqueue(encoder.encode(`${next.value}\n`));
    },
    async cancel() {
      await source.return?.();
    },
  });
  return new Response(stream, { headers: { "content-type": `${TEXT_TYPE}; charset=utf-8` } });
}

/**
 * Bytes as they come, to be saved under a name. What fails before the first of them is a problem body; after it the
 * connection is cut, and the reader has to see that by what it got. One that reads nothing for long is cut as well.
 */
export async function bytesResponse(
  source: AsyncGenerator<Uint8Array>,
  type: string,
  fileName: string,
): Promise<Response> {
  let next = await source.next();
  let unread: ReturnType<typeof setTimeout> | undefined;
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      clearTimeout(unread);
      if (next.done) return controller.close();
      controller.enqueue(next.value);
      // Without a reason: Bun would print it. Whoever makes the bytes has said it already.
      const cut = () => controller.error();
      try {
        next = await source.next();
      } catch {
        return cut();
      }
      unread = setTimeout(() => {
        cut();
        void source.return(undefined);
      }, UNREAD_MS);
    },
    async cancel() {
      clearTimeout(unread);
      await source.return(undefined);
    },
  });
  const disposition = `attachment; filename="${fileName}"`;
  return new Response(stream, { headers: { "content-type": type, "content-disposition": disposition } });
}

/**
 * Items as server-sent events. `event: end` says that the source has ended, `event: problem` that it failed; a stream
 * that stops without either was cut. `source` gets a signal that aborts when the client has gone, or when the manager
 * stops (`ending`): a stream without an end of its own must not hold that up.
 */
export function eventsResponse(ending: AbortSignal, source: (signal: AbortSignal) => AsyncIterable<unknown>): Response {
  const gone = new AbortController();
  const outlet = new Outlet(() => gone.abort());
  const stop = () => {
    outlet.write(problemEvent(new Fault("unreachable", "the manager is stopping")));
    outlet.end();
    gone.abort();
  };
  ending.addEventListener("abort", stop, { once: true });
  const keepalive = setInterval(() => outlet.write(": still here\n\n"), KEEPALIVE_MS);
  // At once, so that the client has the headers although nothing has happened yet.
  outlet.write(": open\n\n");
  const pump = async () => {
    for await (const item of source(gone.signal)) {
      outlet.write(`data: ${JSON.stringify(item)}\n\n`);
      await outlet.room();
      if (gone.signal.aborted) return;
    }
    outlet.write("event: end\ndata: {}\n\n");
  };
  pump()
    .catch((error: unknown) => outlet.write(problemEvent(error)))
    .finally(() => {
      clearInterval(keepalive);
      ending.removeEventListener("abort", stop);
      gone.abort();
      outlet.end();
    });
  return new Response(outlet.stream, { headers: { "content-type": SSE_TYPE, "x-accel-buffering": "no" } });
}

function problemEvent(error: unknown): string {
  return `event: problem\ndata: ${JSON.stringify(problemOf(error))}\n\n`;
}

/** The writing end of a streamed body. */
class Outlet {
  readonly stream: ReadableStream<Uint8Array>;
  private readonly encoder = new TextEncoder();
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  private waiting: Array<() => void> = [];

  constructor(onGone: () => void = () => {}) {
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: () => this.wake(),
        cancel: () => {
          this.controller = undefined;
          this.wake();
          onGone();
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: OUTLET_BYTES }),
    );
  }

  write(text: string): void {
    this.controller?.enqueue(this.encoder.encode(text));
  }

  /** Resolves when the client has read enough of what was written, or has gone. */
  async room(): Promise<void> {
    if (!this.controller || (this.controller.desiredSize ?? 1) > 0) return;
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  end(): void {
    this.controller?.close();
    this.controller = undefined;
    this.wake();
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

/** Written ahead of a reader that is slow; then its source waits. */
const OUTLET_BYTES = 64 * 1024;
