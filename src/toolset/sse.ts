/**
 * HTTP+SSE, the transport of MCP before 2025-03-26: answers come on one stream of events, messages go to an address that
 * its first event names.
 */
import { type JSONRPCMessage, parseJSONRPCMessage, type Transport } from "@modelcontextprotocol/server";

/** Not yet read by the client; beyond it the client is taken for dead. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
const KEEP_ALIVE_MS = 15_000;

export class SseTransport implements Transport {
  readonly sessionId = crypto.randomUUID();
  onclose?: () => void;
  onmessage?: (message: JSONRPCMessage) => void;
  private readonly body: ReadableStream<Uint8Array>;
  private writer: ReadableStreamDefaultController<Uint8Array> | undefined;
  private readonly keepAlive = setInterval(() => this.write(": still here\n\n"), KEEP_ALIVE_MS);

  /** `path`: where messages are posted. */
  constructor(private readonly path: string) {
    this.body = new ReadableStream<Uint8Array>(
      { start: (writer) => void (this.writer = writer), cancel: () => this.close() },
      new ByteLengthQueuingStrategy({ highWaterMark: WAITING_BYTES_MAX }),
    );
  }

  async start(): Promise<void> {
    this.write(`event: endpoint\ndata: ${this.path}?sessionId=${this.sessionId}\n\n`);
  }

  /** The answer to the request that opened the stream. */
  response(): Response {
    return new Response(this.body, {
      headers: { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" },
    });
  }

  async send(message: JSONRPCMessage): Promise<void> {
    this.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
  }

  /** A message that was posted. Throws what is none. */
  receive(body: unknown): void {
    this.onmessage?.(parseJSONRPCMessage(body));
  }

  async close(): Promise<void> {
    if (!this.writer) return;
    const writer = this.writer;
    this.writer = undefined;
    clearInterval(this.keepAlive);
    try {
      writer.close();
    } catch {
      // The client has closed it already.
    }
    this.onclose?.();
  }

  private write(frame: string): void {
    if (!this.writer) return;
    if ((this.writer.desiredSize ?? 0) <= 0) {
      void this.close();
      return;
    }
    this.writer.enqueue(Buffer.from(frame));
  }
}
