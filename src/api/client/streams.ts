/** Answers that come bit by bit: lines, NDJSON and server-sent events, each bounded. */
import { Fault } from "../../base/fault.ts";

/** One line of an answer: the longest MCP message there is, and room for its wrapping. */
const LINE_CHARS_MAX = 65 * 1024 * 1024;
/** One whole JSON answer. */
const BODY_BYTES_MAX = 256 * 1024 * 1024;

/** Lines without their line ends. A last line without one counts as a line. */
export async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  // A list, joined once per line: adding each chunk to one string would copy long lines over and over.
  let parts: string[] = [];
  let held = 0;
  for await (const chunk of body) {
    const text = decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      parts.push(text.slice(start, end));
      yield withoutReturn(parts.join(""));
      parts = [];
      held = 0;
      start = end + 1;
    }
    if (start < text.length) {
      parts.push(text.slice(start));
      held += text.length - start;
      if (held > LINE_CHARS_MAX) throw new Fault("too-large", "the manager sent a line that is too long");
    }
  }
  parts.push(decoder.decode());
  const last = parts.join("");
  if (last) yield withoutReturn(last);
}

export interface ServerEvent {
  /** `message` where the stream names none. */
  event: string;
  data: string;
}

/** The events of a `text/event-stream` (WHATWG HTML, 9.2.6). Ids and retry times have no use here. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  let event = "message";
  let data: string[] = [];
  for await (const line of readLines(body)) {
    if (line === "") {
      if (data.length > 0) yield { event, data: data.join("\n") };
      event = "message";
      data = [];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
  }
}

/** A whole body as text; a `too-large` fault instead of unbounded memory. */
export async function readText(response: Response): Promise<string> {
  if (!response.body) return "";
  const decoder = new TextDecoder();
  const parts: string[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES_MAX) throw new Fault("too-large", "the manager's answer is too long");
    parts.push(decoder.decode(chunk, { stream: true }));
  }
  parts.push(decoder.decode());
  return parts.join("");
}

function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
