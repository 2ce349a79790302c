/** What comes in: bodies, queries and names, bounded and through their schemas. Messages never repeat a value. */
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { issueFault } from "../model/issues.ts";

/** The longest body of a request, bytes (faults.md). */
export const BODY_BYTES_MAX = 8 * 1024 * 1024;
/** Deeper than any argument of a tool, and far from where a recursive reader would run out of stack. */
const DEPTH_MAX = 128;

/** The body as a JSON object; undefined when there is none. Every body of this API is an object. */
export async function readJson(request: Request): Promise<object | undefined> {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > BODY_BYTES_MAX) throw tooLarge(BODY_BYTES_MAX);
  const bytes = await readBody(request);
  if (bytes.byteLength === 0) return undefined;
  const type = request.headers.get("content-type");
  if (!type || !/^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type)) {
    // Forms of web pages can send other types without asking first; JSON they cannot.
    throw new Fault("usage", "the body must be JSON and say so", { hint: "Add -H 'Content-Type: application/json'." });
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Fault("usage", "the body is not UTF-8");
  }
  if (depthOf(text) > DEPTH_MAX) throw new Fault("invalid", `the body is nested deeper than ${DEPTH_MAX} levels`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's message would repeat a part of the body.
    throw new Fault("usage", "the body is not valid JSON");
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new Fault("invalid", "the body is not a JSON object");
  }
  refusePrototypes(json, []);
  return json;
}

/** The body as a stream, of the type that the route takes and no longer than it allows; nothing where it takes none. */
export function readUpload(
  request: Request,
  upload: { type: string; bytesMax: number } | undefined,
): AsyncIterable<Uint8Array> {
  if (!upload) return pieces(null, 0);
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== upload.type) {
    throw new Fault("usage", `the body must be ${upload.type} and say so`, {
      hint: `Add -H 'Content-Type: ${upload.type}'.`,
    });
  }
  if (Number(request.headers.get("content-length") ?? 0) > upload.bytesMax) throw tooLarge(upload.bytesMax);
  return pieces(request.body, upload.bytesMax);
}

/** The value through its schema; `where` names the whole (`the body`, `the query`). */
export function parseInput<S extends v.GenericSchema>(schema: S, input: unknown, where: string): v.InferOutput<S> {
  const parsed = v.safeParse(schema, input);
  if (parsed.success) return parsed.output;
  throw issueFault(schema, parsed.issues, where);
}

/** `?a=1&b=2` as an object. A name that comes twice is refused, since one of the two would be lost. */
export function queryObject(params: URLSearchParams): Record<string, string> {
  const query: Record<string, string> = {};
  for (const [name, value] of params) {
    if (Object.hasOwn(query, name)) throw new Fault("usage", `the query has ${name} twice`);
    query[name] = value;
  }
  return query;
}

async function readBody(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of pieces(request.body, BODY_BYTES_MAX)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* pieces(body: ReadableStream<Uint8Array> | null, bytesMax: number): AsyncGenerator<Uint8Array> {
  let length = 0;
  try {
    for await (const chunk of body ?? []) {
      length += chunk.byteLength;
      // Without Content-Length (chunked) the limit is met on the way.
      if (length > bytesMax) throw tooLarge(bytesMax);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("cancelled", "the connection ended before the body did", { cause: error });
  }
}

function tooLarge(limitBytes: number): Fault {
  return new Fault("too-large", `the body is larger than ${limitBytes} bytes`, { data: { limitBytes } });
}

/** How deep brackets nest, seen without parsing: strings are skipped, everything else is the parser's. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === BACKSLASH) at += 1;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) deepest = Math.max(deepest, ++depth);
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth -= 1;
  }
  return deepest;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** `__proto__` as a key would be read as unknown by nobody: schemas find it on every object. */
function refusePrototypes(value: unknown, path: string[]): void {
  if (typeof value !== "object" || value === null) return;
  if (Object.hasOwn(value, "__proto__")) {
    throw new Fault("invalid", `__proto__ is not allowed as a name, at ${path.join(".") || "the top level"}`);
  }
  for (const [key, part] of Object.entries(value)) refusePrototypes(part, [...path, key]);
}
