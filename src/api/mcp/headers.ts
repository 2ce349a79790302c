/**
 * Which era a POST is of, and what its headers must say then. The body decides, as proxies may drop headers; a header
 * that contradicts it is refused, since somebody on the way may have judged by it (2026-07-28, Streamable HTTP). Pure.
 */
import { isRecord, type Message, type Request as RpcRequest } from "../../gateway/clients/message.ts";
import { META } from "../../gateway/clients/meta.ts";
import { CODE, Refusal } from "./refusal.ts";

export const BATCH_VERSION = "2025-03-26";
/** Revisions are dates: whatever is later than the last legacy one is of the modern era. */
const FIRST_MODERN = "2026-07-28";

const CLAIM_KEYS = [META.version, META.info, META.capabilities];
/** Without these a request says too little. */
const NEEDED_KEYS = [META.version, META.capabilities];

/** Which field of `params` the header `Mcp-Name` repeats. */
const NAME_FIELD: Record<string, string> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};

/** Whether the message is of the modern era. Throws a `Refusal` where headers and body disagree. */
export function isModern(message: Message, headers: Headers): boolean {
  if (message.kind !== "request" && message.kind !== "notification") return false;
  const version = headers.get("mcp-protocol-version")?.trim();
  const modernHeader = version !== undefined && version >= FIRST_MODERN && /^\d{4}-\d{2}-\d{2}$/.test(version);
  const meta = isRecord(message.params._meta) ? message.params._meta : undefined;
  const claims = meta !== undefined && CLAIM_KEYS.some((key) => key in meta);
  if (!claims && !modernHeader) return false;
  if (message.method === "initialize" && !namesModern(meta)) {
    if (!modernHeader) return false;
    throw mismatch("initialize belongs to the eras before the version that MCP-Protocol-Version names");
  }
  if (message.kind === "request") checkRequest(message, meta ?? {}, headers, version);
  return true;
}

function checkRequest(
  message: RpcRequest,
  meta: Record<string, unknown>,
  headers: Headers,
  version: string | undefined,
) {
  for (const key of NEEDED_KEYS) {
    const wrong = key === META.version ? typeof meta[key] !== "string" : !isRecord(meta[key]);
    if (wrong) throw new Refusal(400, CODE.params, `params._meta needs ${key}`, { data: { missing: [key] } });
  }
  if (version === undefined) throw mismatch("the header MCP-Protocol-Version is missing");
  if (version !== meta[META.version]) throw mismatch("MCP-Protocol-Version and the version in _meta differ");
  const method = headers.get("mcp-method")?.trim();
  if (method === undefined) throw mismatch("the header Mcp-Method is missing");
  if (method !== message.method) throw mismatch("Mcp-Method and the method of the body differ");
  const field = Object.hasOwn(NAME_FIELD, method) ? NAME_FIELD[method] : undefined;
  const name = field !== undefined ? message.params[field] : undefined;
  const given = field === undefined ? null : headers.get("mcp-name");
  if (given === null) {
    if (typeof name === "string") throw mismatch(`the header Mcp-Name is missing; it repeats params.${field}`);
    return;
  }
  const decoded = decoded64(given.trim());
  if (decoded === undefined) throw mismatch("the header Mcp-Name is not valid Base64 of UTF-8");
  if (typeof name === "string" && decoded !== name) throw mismatch(`Mcp-Name and params.${field} differ`);
}

function namesModern(meta: Record<string, unknown> | undefined): boolean {
  const named = meta?.[META.version];
  return typeof named === "string" && named >= FIRST_MODERN && NEEDED_KEYS.every((key) => key in (meta ?? {}));
}

/** `=?base64?…?=` carries what a header cannot; anything else is itself. */
export function decoded64(value: string): string | undefined {
  if (!value.startsWith(PREFIX) || !value.endsWith(SUFFIX)) return value;
  const inner = value.slice(PREFIX.length, -SUFFIX.length);
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(inner)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(inner, "base64"));
  } catch {
    return undefined;
  }
}

const PREFIX = "=?base64?";
const SUFFIX = "?=";

export function mismatch(message: string): Refusal {
  return new Refusal(400, CODE.headers, `headers and body disagree: ${message}`);
}
