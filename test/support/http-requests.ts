/** The requests in what one client has sent on one connection, taken apart by RFC 9112 as far as Docker's clients use it. */

export interface SentRequest {
  method: string;
  /** As it was sent, with the query. */
  target: string;
  /** By lower-case name. */
  headers: Record<string, string>;
  body: Buffer;
}

/** Throws on bytes that are no request: an oracle that skips what it does not understand is none. */
export function readRequests(bytes: Buffer): SentRequest[] {
  const requests: SentRequest[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf("\r\n\r\n", at);
    // The client has gone before it had said all.
    if (end < 0) break;
    const [line = "", ...fields] = bytes.subarray(at, end).toString("latin1").split("\r\n");
    const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.1$/.exec(line) ?? [];
    if (!method || !target) throw new Error(`no request line: ${JSON.stringify(line.slice(0, 200))}`);
    const headers: Record<string, string> = {};
    for (const field of fields) {
      const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(field) ?? [];
      if (!name || value === undefined) throw new Error(`no header field: ${JSON.stringify(field.slice(0, 200))}`);
      headers[name.toLowerCase()] = value;
    }
    const { body, next } = bodyAt(bytes, end + 4, headers);
    requests.push({ method, target, headers, body });
    at = next;
    // What follows is a stream of its own: attach, exec.
    if (headers["upgrade"]) break;
  }
  return requests;
}

function bodyAt(bytes: Buffer, from: number, headers: Record<string, string>): { body: Buffer; next: number } {
  if (headers["transfer-encoding"] === "chunked") return chunksAt(bytes, from);
  const next = Math.min(bytes.length, from + Number(headers["content-length"] ?? 0));
  return { body: bytes.subarray(from, next), next };
}

function chunksAt(bytes: Buffer, from: number): { body: Buffer; next: number } {
  const parts: Buffer[] = [];
  let at = from;
  while (at < bytes.length) {
    const end = bytes.indexOf("\r\n", at);
    if (end < 0) break;
    const size = Number.parseInt(bytes.subarray(at, end).toString("latin1"), 16);
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
    if (size === 0) break;
  }
  return { body: Buffer.concat(parts), next: at };
}
