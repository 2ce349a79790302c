/** JSON-RPC messages of clients, read from parsed JSON and written as text. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { type Json, type Note, type Params, type Question, type RpcError, RpcFault } from "../exchange.ts";

export type Id = string | number;

export interface Request {
  id: Id;
  method: string;
  params: Params;
}

export type Message =
  | ({ kind: "request" } & Request)
  | ({ kind: "notification" } & Note)
  | { kind: "response"; id: Id; result: Params | undefined; error: RpcError | undefined }
  /** No message; `error` is the answer to it. */
  | { kind: "broken"; id: Id | null; error: RpcError };

/** JSON-RPC error codes that the legs themselves answer with (JSON-RPC 2.0, MCP 2025-11-25 and 2026-07-28). */
export const CODE = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  /** Legacy: no such resource. */
  resourceNotFound: -32002,
  /** Modern: header and body differ. */
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const;

/** A larger integer has lost digits when it is parsed, and would go back as another id; 1e400 as none. */
const id = v.custom<Id>(
  (value) =>
    typeof value === "string" ||
    (typeof value === "number" && (!Number.isInteger(value) || Number.isSafeInteger(value))),
);
export const record = v.record(v.string(), v.unknown());
const rpcError = v.object({ code: v.number(), message: v.string(), data: v.optional(v.unknown()) });
const version = v.literal("2.0");
const request = v.object({ jsonrpc: version, id, method: v.string(), params: v.optional(record) });
const notification = v.object({ jsonrpc: version, method: v.string(), params: v.optional(record) });
const result = v.object({ jsonrpc: version, id, result: record });
const failure = v.object({ jsonrpc: version, id, error: rpcError });
const withId = v.object({ id });

export function readMessage(value: unknown): Message {
  if (!isRecord(value)) return broken(null, "a message is a JSON object");
  if ("method" in value) {
    if ("id" in value) {
      const read = v.safeParse(request, value);
      if (read.success) return { kind: "request", ...read.output, params: read.output.params ?? {} };
      return broken(value, "not a JSON-RPC 2.0 request");
    }
    const read = v.safeParse(notification, value);
    if (read.success) return { kind: "notification", method: read.output.method, params: read.output.params ?? {} };
    return broken(value, "not a JSON-RPC 2.0 notification");
  }
  if ("result" in value || "error" in value) return readResponse(value);
  return broken(value, "not a JSON-RPC 2.0 message");
}

/** What is wrong with an answer is for who has asked: answers are never answered. */
function readResponse(value: Params): Message {
  const good = v.safeParse(result, value);
  if (good.success) return { kind: "response", id: good.output.id, result: good.output.result, error: undefined };
  const bad = v.safeParse(failure, value);
  if (bad.success) return { kind: "response", id: bad.output.id, result: undefined, error: bad.output.error };
  const named = v.safeParse(withId, value);
  const error = { code: CODE.invalidRequest, message: "the client's answer is no JSON-RPC 2.0 response" };
  return { kind: "response", id: named.success ? named.output.id : "", result: undefined, error };
}

function broken(value: Params | null, message: string): Message {
  const read = v.safeParse(withId, value);
  const id = read.success ? read.output.id : null;
  return { kind: "broken", id, error: { code: CODE.invalidRequest, message } };
}

/** The answer with a result, which is JSON text already. */
export function resultText(id: Id, result: string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`;
}

export function errorText(id: Id | null, error: RpcError): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"error":${JSON.stringify(error)}}`;
}

export function noteText({ method, params }: Note): string {
  return JSON.stringify({ jsonrpc: "2.0", method, params });
}

export function questionText(id: Id, { method, params }: Question): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params });
}

/** What was thrown, as the error of an answer. */
export function rpcErrorOf(thrown: unknown): RpcError {
  if (thrown instanceof RpcFault) return thrown.error;
  const fault = Fault.from(thrown);
  const { message, hint } = fault;
  // Most clients show nothing but the message.
  const words =
    hint === undefined ? message : `${message.replace(/[.\s]+$/, "")}${/^[a-z]/.test(hint) ? ";" : "."} ${hint}`;
  return { code: fault.faces.rpc, message: words, data: fault.report() };
}

export function isRecord(value: unknown): value is Params {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The result's top level; an empty one where it is none. */
export function recordOf(json: Json): Params {
  const { value } = json;
  return isRecord(value) ? value : {};
}
