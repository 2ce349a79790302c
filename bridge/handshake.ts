/**
 * Which question a server has to answer at any time: `ping` in the legacy era, `server/discover` in the modern one. Found
 * by looking at a session's first requests, since servers of either era may end at a question of the other. Pure.
 */
import * as v from "valibot";
import type { IdKey } from "./envelope.ts";

/** A client that has not begun in either era by then is no MCP client. */
const REQUESTS_LOOKED_AT = 8;
const REQUEST_BYTES_MAX = 64 * 1024;

const VERSION = "io.modelcontextprotocol/protocolVersion";
const opening = v.object({
  method: v.string(),
  params: v.optional(v.object({ _meta: v.optional(v.object({ [VERSION]: v.optional(v.string()) })) })),
});

export class Handshake {
  /** `"method":…` and its parameters as JSON, once the server has answered in an era. */
  question: string | undefined;
  private awaited: { id: IdKey; question: string } | undefined;
  private looked = 0;

  /** A request of the client. */
  asked(id: IdKey, bytes: Uint8Array, start: number, end: number): void {
    if (this.question !== undefined || this.looked >= REQUESTS_LOOKED_AT) return;
    this.looked++;
    if (end - start > REQUEST_BYTES_MAX) return;
    const question = questionOf(decoder.decode(bytes.subarray(start, end)));
    if (question !== undefined) this.awaited = { id, question };
  }

  /** An answer of the server to a request of the client. An error may mean that it speaks the other era. */
  answered(id: IdKey, error: boolean): void {
    if (this.awaited?.id !== id) return;
    if (!error) this.question = this.awaited.question;
    this.awaited = undefined;
  }
}

function questionOf(line: string): string | undefined {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), opening), line);
  if (!parsed.success) return undefined;
  const { method, params } = parsed.output;
  if (method === "initialize") return '"method":"ping"';
  const version = params?._meta?.[VERSION];
  if (version === undefined) return undefined;
  const meta = {
    [VERSION]: version,
    "io.modelcontextprotocol/clientInfo": { name: "linkspan", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  return `"method":"server/discover","params":${JSON.stringify({ _meta: meta })}`;
}

const decoder = new TextDecoder();
