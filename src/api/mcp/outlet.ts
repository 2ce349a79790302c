/** The writing end of a stream of server-sent events: bounded, kept alive, cut when nobody reads. */
import { SSE_TYPE } from "../responses.ts";

/** Written and not yet taken by the client; one that is further behind is cut, and may come back with `Last-Event-ID`. */
const UNREAD_BYTES_MAX = 4 * 1024 * 1024;
/** Proxies cut what is silent, and a dead reader is found by writing. */
export const KEEPALIVE_MS = 15_000;

const encoder = new TextEncoder();

export class Outlet {
  private readonly stream: ReadableStream<Uint8Array>;
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  private readonly keepalive = setInterval(() => this.write(": still here\n\n"), KEEPALIVE_MS);

  /** `onEnd` is called once, when nothing can be written any more: the client has gone, was cut, or `end` was called. */
  constructor(private readonly onEnd: () => void) {
    this.stream = new ReadableStream<Uint8Array>(
      { start: (controller) => void (this.controller = controller), cancel: () => this.stop() },
      new ByteLengthQueuingStrategy({ highWaterMark: UNREAD_BYTES_MAX }),
    );
  }

  get open(): boolean {
    return this.controller !== undefined;
  }

  /** False when it cannot be delivered here. */
  write(text: string): boolean {
    if (!this.controller) return false;
    if ((this.controller.desiredSize ?? 0) <= 0) {
      // With what is queued. Without a reason: Bun would print it.
      this.controller.error();
      this.stop();
      return false;
    }
    this.controller.enqueue(encoder.encode(text));
    return true;
  }

  /** Idempotent. */
  end(): void {
    const { controller } = this;
    this.stop();
    try {
      controller?.close();
    } catch {
      // The client has closed it already.
    }
  }

  response(headers: Record<string, string> = {}): Response {
    const own = { "content-type": SSE_TYPE, "cache-control": "no-store, no-transform", "x-accel-buffering": "no" };
    return new Response(this.stream, { headers: { ...own, ...headers } });
  }

  private stop(): void {
    if (!this.controller) return;
    this.controller = undefined;
    clearInterval(this.keepalive);
    this.onEnd();
  }
}
