/** Refusals of the MCP endpoints: always a JSON-RPC error, with the request's id where it is known. */
import { Fault } from "../../base/fault.ts";
import type { Id, Message } from "../../gateway/clients/message.ts";
import { JSON_TYPE } from "../responses.ts";

/** JSON-RPC and MCP codes that this layer makes or gives a status of its own. */
export const CODE = {
  parse: -32700,
  request: -32600,
  method: -32601,
  params: -32602,
  headers: -32020,
  capability: -32021,
  version: -32022,
} as const;

/** A refusal that has a code of the protocol, and so is no `Fault`. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    readonly status: number,
    readonly code: number,
    message: string,
    readonly options: { data?: unknown; headers?: Record<string, string> } = {},
  ) {
    super(message);
  }
}

/** Of every plain answer: what a token gets is nobody's to keep. */
export const JSON_HEADERS = {
  "content-type": JSON_TYPE,
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
};

export function refusalResponse(thrown: unknown, id: Id | null | undefined): Response {
  if (thrown instanceof Refusal) {
    const { code, message, options, status } = thrown;
    const data = options.data === undefined ? {} : { data: options.data };
    return errorResponse(status, { code, message, ...data }, id, options.headers);
  }
  const fault = Fault.from(thrown);
  const { kind, message, hint, data } = fault;
  const { retryAfterS, challenge, ...facts } = data ?? {};
  const error = {
    code: fault.faces.rpc,
    message: hint === undefined ? message : `${message}. ${hint}`,
    data: { kind, ...facts },
  };
  const headers: Record<string, string> = {
    ...(typeof challenge === "string" ? { "www-authenticate": challenge } : {}),
    ...(kind === "exhausted" ? { "retry-after": String(retryAfterS ?? 1) } : {}),
  };
  return errorResponse(fault.faces.http, error, id, headers);
}

/** The id under which a body is refused; a batch has none. */
export function idOf(body: Message | Message[] | undefined): Id | undefined {
  if (body === undefined || Array.isArray(body) || !("id" in body) || body.kind === "response") return undefined;
  return body.id ?? undefined;
}

/** The status that an answer with this error code has in the modern era. */
export function statusOf(code: number | undefined): number {
  if (code === undefined) return 200;
  return STATUS[code] ?? 200;
}

const STATUS: Record<number, number> = {
  [CODE.method]: 404,
  [CODE.parse]: 400,
  [CODE.request]: 400,
  [CODE.headers]: 400,
  [CODE.capability]: 400,
  [CODE.version]: 400,
};

function errorResponse(
  status: number,
  error: { code: number; message: string; data?: unknown },
  id: Id | null | undefined,
  headers: Record<string, string> = {},
): Response {
  const body = JSON.stringify({ jsonrpc: "2.0", id: id ?? null, error });
  return new Response(body, { status, headers: { ...JSON_HEADERS, ...headers } });
}
