/** The body of a POST: bounded, UTF-8, JSON. Nothing of its content is looked at here but its outline. */
import { Fault } from "../../base/fault.ts";
import { type Message, readMessage } from "../../gateway/clients/message.ts";
import { CODE, Refusal } from "./refusal.ts";

/** As the SDK's own servers have it. */
export const MCP_BODY_BYTES_MAX = 4 * 1024 * 1024;
export const BATCH_MAX = 100;

/** A body that takes longer is being held back. */
const BODY_MS = 30_000;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** A message, or a batch of them. Throws a `Refusal` (no JSON, no message) or a `Fault` (`too-large`, `cancelled`). */
export async function readMessages(request: Request): Promise<Message | Message[]> {
  const type = request.headers.get("content-type");
  // Forms of web pages can send other types without asking first; JSON they cannot.
  if (type !== "application/json" && !/^application\/json\s*(;|$)/i.test(type ?? "")) {
    throw new Refusal(415, CODE.request, "the body must be application/json and say so");
  }
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > MCP_BODY_BYTES_MAX) throw tooLarge();
  const json = parse(await inTime(declared === null ? readChunks(request) : wholeBody(request)));
  if (!Array.isArray(json)) return readMessage(json);
  if (json.length === 0) throw new Refusal(400, CODE.request, "the batch is empty");
  if (json.length > BATCH_MAX) throw new Refusal(400, CODE.request, `a batch has at most ${BATCH_MAX} messages`);
  return json.map(readMessage);
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    // The parser's message would repeat a part of the body.
    throw new Refusal(400, CODE.parse, "the body is not valid JSON in UTF-8");
  }
}

async function inTime(body: Promise<Uint8Array>): Promise<Uint8Array> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Refusal(408, CODE.request, "the body did not come in time")), BODY_MS);
  try {
    return await Promise.race([body, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function wholeBody(request: Request): Promise<Uint8Array> {
  try {
    return await request.bytes();
  } catch (cause) {
    throw new Fault("cancelled", "the connection ended before the body did", { cause });
  }
}

/** Without a Content-Length (chunked) the limit is met on the way. */
async function readChunks(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.byteLength;
      if (length > MCP_BODY_BYTES_MAX) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("cancelled", "the connection ended before the body did", { cause });
  }
  return Buffer.concat(chunks);
}

function tooLarge(): Fault {
  const data = { limitBytes: MCP_BODY_BYTES_MAX };
  return new Fault("too-large", `the body is larger than ${MCP_BODY_BYTES_MAX} bytes`, { data });
}
