/**
 * Which of the client's requests have no answer yet. The bridge answers them itself when the server ends; the front
 * needs to know them for what the bridge cannot see: a start that fails, a connection, container or manager that is lost.
 *
 * It looks at bytes after they were passed on, so that it costs time while the other side works, not latency.
 */
import * as v from "valibot";
import { classify, type Envelope, type IdKey, idText } from "../../bridge/envelope.ts";
import { LineSplitter, type OnLine } from "../../bridge/lines.ts";
import { LIMITS } from "../../bridge/wire.ts";

/** Requests that a server never answers (cancelled ones) must not pile up; beyond this the oldest are forgotten. */
const REQUESTS_MAX = 65_536;

export class InFlight {
  /** Lines that the client has sent, whatever is in them: the bridge counts the same, which a resume relies on. */
  messages = 0;
  /** Requests among them. */
  requests = 0;
  private readonly ids = new Set<IdKey>();
  private readonly fromClient = new LineSplitter(LIMITS.messageBytesMax, () => {});
  private readonly fromServer = new LineSplitter(LIMITS.messageBytesMax, () => {});

  get size(): number {
    return this.ids.size;
  }

  /** Bytes from the client. They may be kept; they must not be changed. */
  sent(bytes: Uint8Array): void {
    this.fromClient.push(bytes, this.onSent);
  }

  /** Payload from the server. */
  received(bytes: Uint8Array): void {
    // What answers nothing need not be read: notifications to a client that waits for nothing are forwarded only.
    this.fromServer.push(bytes, this.ids.size === 0 ? ignore : this.onReceived);
  }

  /** The ids without an answer as JSON texts, oldest first; they count as answered from now on. */
  take(): string[] {
    const ids = [...this.ids].map(idText);
    this.ids.clear();
    return ids;
  }

  private readonly onSent: OnLine = (bytes, start, end) => {
    const envelope = classify(bytes, start, end);
    this.note(envelope);
    if (envelope.kind === "notification" && this.ids.size > 0) this.cancel(bytes, start, end);
  };

  private readonly onReceived: OnLine = (bytes, start, end) => this.settle(classify(bytes, start, end));

  private note(envelope: Envelope): void {
    this.messages += 1;
    if (envelope.kind === "request") this.add(envelope.id);
    else if (envelope.kind === "batch") {
      for (const item of envelope.items) if (item.kind === "request") this.add(item.id);
    }
  }

  private add(id: IdKey): void {
    this.requests += 1;
    this.ids.add(id);
    if (this.ids.size <= REQUESTS_MAX) return;
    for (const oldest of this.ids) {
      this.ids.delete(oldest);
      return;
    }
  }

  /** A cancelled request is not answered any more (MCP, "cancellation"), so nobody waits for it. */
  private cancel(bytes: Uint8Array, start: number, end: number): void {
    if (end - start > CANCEL_BYTES_MAX) return;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
    if (!text.includes(CANCELLED)) return;
    const parsed = v.safeParse(cancellation, parseJson(text));
    if (!parsed.success) return;
    const { requestId } = parsed.output.params;
    this.ids.delete(typeof requestId === "string" ? `"${requestId}` : requestId);
  }

  private settle(envelope: Envelope): void {
    if (envelope.kind === "response") this.ids.delete(envelope.id);
    else if (envelope.kind === "batch") for (const item of envelope.items) this.settle(item);
  }
}

const CANCELLED = "notifications/cancelled";
/** A reason for people and a request's id fit into this; a longer notification is another one. */
const CANCEL_BYTES_MAX = 64 * 1024;

const cancellation = v.object({
  method: v.literal(CANCELLED),
  params: v.object({ requestId: v.union([v.string(), v.number()]) }),
});

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const ignore: OnLine = () => {};
