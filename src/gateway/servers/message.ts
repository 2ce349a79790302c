/** Lines as messages and back. Pure. */
import { isTooDeep } from "../../base/depth.ts";
import { isRecord } from "../clients/message.ts";
import { Json, type Params, type RpcError } from "../exchange.ts";

/** An id that a server has chosen for a question; our own are numbers. */
export type QuestionId = string | number;

export type Incoming =
  | { kind: "result"; id: number; result: Json }
  | { kind: "error"; id: number; error: RpcError }
  | { kind: "request"; id: QuestionId; method: string; params: Params }
  | { kind: "note"; method: string; params: Params };

/** A 2025-03-26 batch of more items than this is dropped. */
const BATCH_MAX = 100;

/** The messages of a line: one, several in a batch, none where it is no JSON-RPC. */
export function read(line: string): Incoming[] {
  const result = readResult(line);
  if (result) return [result];
  const value = parsed(line);
  const items: unknown[] = Array.isArray(value) ? value.slice(0, BATCH_MAX) : [value];
  return items.map(incoming).filter((item) => item !== undefined);
}

/**
 * Most lines are results in one of two shapes, and their text is passed on as it is. The result is parsed all the same:
 * only what is one JSON value can be put into another message without saying something else there.
 */
function readResult(line: string): Incoming | undefined {
  // Between two values it is white space, but in a stream of events the end of a line.
  if (line.includes("\r")) return undefined;
  const shape = line.startsWith('{"result":') ? resultFirst(line) : idFirst(line);
  if (!shape) return undefined;
  const result = new Json(shape.text);
  try {
    return isRecord(result.value) ? { kind: "result", id: shape.id, result } : undefined;
  } catch {
    // There is more in the line than this shape has.
    return undefined;
  }
}

const HEAD = '{"jsonrpc":"2.0","id":';
const RESULT = ',"result":';
/** `{"result":…,"jsonrpc":"2.0","id":1}`, as the SDKs write it. */
const TAIL = /,"jsonrpc":"2\.0","id":(0|[1-9]\d{0,14})\}$/;
const TAIL_CHARS_MAX = 48;

function idFirst(line: string): { id: number; text: string } | undefined {
  if (!line.startsWith(HEAD)) return undefined;
  const comma = line.indexOf(",", HEAD.length);
  const id = Number(line.slice(HEAD.length, comma));
  if (comma < 0 || !Number.isSafeInteger(id) || !line.startsWith(RESULT, comma) || !line.endsWith("}"))
    return undefined;
  return { id, text: line.slice(comma + RESULT.length, -1) };
}

function resultFirst(line: string): { id: number; text: string } | undefined {
  const end = TAIL.exec(line.slice(-TAIL_CHARS_MAX));
  if (!end) return undefined;
  return { id: Number(end[1]), text: line.slice('{"result":'.length, line.length - end[0].length) };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function incoming(value: unknown): Incoming | undefined {
  if (!isRecord(value)) return undefined;
  const { id, method, params, result, error } = value;
  if (typeof method === "string") {
    const given = isRecord(params) ? params : {};
    if (!Object.hasOwn(value, "id")) return { kind: "note", method, params: given };
    return typeof id === "string" || typeof id === "number"
      ? { kind: "request", id, method, params: given }
      : undefined;
  }
  if (typeof id !== "number") return undefined;
  if (isTooDeep(result))
    return { kind: "error", id, error: { code: -32603, message: "the answer is nested too deeply" } };
  if (isRecord(result)) return { kind: "result", id, result: Json.of(result) };
  return isRecord(error) ? { kind: "error", id, error: rpcError(error) } : undefined;
}

function rpcError({ code, message, data }: Record<string, unknown>): RpcError {
  return {
    code: typeof code === "number" ? code : -32603,
    message: typeof message === "string" ? message : "the server gave no reason",
    ...(data === undefined || isTooDeep(data) ? {} : { data }),
  };
}

export function requestLine(id: number, method: string, params: Params): string {
  return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${JSON.stringify(params)}}`;
}

export function noteLine(method: string, params: Params): string {
  return JSON.stringify({ jsonrpc: "2.0", method, params });
}

export function resultLine(id: QuestionId, result: Params): string {
  return JSON.stringify({ jsonrpc: "2.0", id, result });
}

export function errorLine(id: QuestionId, error: RpcError): string {
  return JSON.stringify({ jsonrpc: "2.0", id, error });
}

/** A member that is an object, or an empty one. */
export function member(params: Params, name: string): Params {
  const value = params[name];
  return isRecord(value) ? value : {};
}
