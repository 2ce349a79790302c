/**
 * Results, errors and descriptions of one era in the other's shape (docs/eras.md has the table). Pure. What both eras
 * know passes unchanged; what only one of them knows is added with the value that promises least, or taken out.
 */
import type { Description, Params, RpcError } from "./exchange.ts";
import { LEGACY_VERSIONS, META, MODERN_VERSIONS, metaOf } from "./clients/meta.ts";
import { CODE, isRecord } from "./clients/message.ts";
import { isObjectSchema, wrapSchema } from "./wrap-schema.ts";

/** Results that say how long they may be kept (2026-07-28, "caching"). */
const CACHED: ReadonlySet<string> = new Set([
  "server/discover",
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "resources/read",
]);
/** Extensions that are nothing but data in lists and results. */
const PLAIN_EXTENSIONS: ReadonlySet<string> = new Set(["io.modelcontextprotocol/ui"]);
const CACHE_FIELDS = { ttlMs: 0, cacheScope: "private" };

/** What a legacy client has to be remembered for between two results: tools whose output was wrapped for it. */
export type Wrapped = Set<string>;

/** A legacy server's result for a modern client. */
export function modernResult(method: string, result: Params, serverInfo: Params | undefined): Params {
  const base = { ...result, resultType: "complete", ...(CACHED.has(method) ? CACHE_FIELDS : {}) };
  const named = serverInfo ? { ...base, _meta: { ...metaOf(result), [META.serverInfo]: serverInfo } } : base;
  if (method === "tools/call" && !Array.isArray(result.content)) return { ...named, content: [] };
  if (method === "tools/list" && Array.isArray(result.tools)) return { ...named, tools: result.tools.map(modernTool) };
  return named;
}

/** A modern server's result for a legacy client. `about`: the request's params. */
export function legacyResult(method: string, result: Params, about: Params, wrapped: Wrapped): Params {
  const { resultType: _, ...rest } = result;
  const kept = withoutServerInfo(rest);
  if (CACHED.has(method)) {
    delete kept.ttlMs;
    delete kept.cacheScope;
  }
  if (method === "tools/list" && Array.isArray(kept.tools)) {
    return { ...kept, tools: kept.tools.map((tool) => legacyTool(tool, wrapped)) };
  }
  if (method !== "tools/call" || kept.structuredContent === undefined) return kept;
  const wraps = !isRecord(kept.structuredContent) || wrapped.has(String(about.name));
  return wraps ? { ...kept, structuredContent: { result: kept.structuredContent } } : kept;
}

/** A server's error for a modern client. */
export function modernError(error: RpcError): RpcError {
  return error.code === CODE.resourceNotFound ? { ...error, code: CODE.invalidParams } : error;
}

/** A server's error for a legacy client; a result where the legacy era has it as one. */
export function legacyError(method: string, error: RpcError, about: Params): RpcError | { result: Params } {
  switch (error.code) {
    case CODE.missingCapability:
      if (method !== "tools/call") return error;
      return { result: { content: [{ type: "text", text: error.message }], isError: true } };
    // Between the gateway and the server: a client of the legacy era can do nothing about them.
    case CODE.headerMismatch:
    case CODE.unsupportedVersion:
      return { ...error, code: CODE.internal };
    case CODE.invalidParams: {
      const missing = method === "resources/read" && isRecord(error.data) && error.data.uri === about.uri;
      return missing && about.uri !== undefined ? { ...error, code: CODE.resourceNotFound } : error;
    }
    default:
      return error;
  }
}

/** The answer to `server/discover`. */
export function discoverResult({ capabilities, instructions, serverInfo }: Description): Params {
  const { tasks: _, extensions, ...kept } = capabilities;
  const plain = Object.entries(isRecord(extensions) ? extensions : {}).filter(([name]) => PLAIN_EXTENSIONS.has(name));
  return {
    resultType: "complete",
    supportedVersions: [...MODERN_VERSIONS],
    capabilities: plain.length > 0 ? { ...kept, extensions: Object.fromEntries(plain) } : kept,
    ...(instructions === undefined ? {} : { instructions }),
    ...CACHE_FIELDS,
    _meta: { [META.serverInfo]: serverInfo },
  };
}

/** The answer to `initialize`. Tasks are a legacy server's own, and mean something else in the modern era. */
export function initializeResult(
  { era, capabilities, instructions, serverInfo }: Description,
  version: string,
): Params {
  const { tasks, extensions: _, ...kept } = capabilities;
  return {
    protocolVersion: version,
    capabilities: era === "legacy" && tasks !== undefined ? { ...kept, tasks } : kept,
    serverInfo,
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/** The version that a legacy client is answered: its own where we speak it, else our newest. */
export function legacyVersion(asked: unknown): string {
  return LEGACY_VERSIONS.find((version) => version === asked) ?? LEGACY_VERSIONS[0];
}

function modernTool(tool: unknown): unknown {
  if (!isRecord(tool)) return tool;
  const { execution: _, ...kept } = tool;
  return kept;
}

function legacyTool(tool: unknown, wrapped: Wrapped): unknown {
  if (!isRecord(tool) || typeof tool.name !== "string") return tool;
  if (!isRecord(tool.outputSchema) || isObjectSchema(tool.outputSchema)) {
    wrapped.delete(tool.name);
    return tool;
  }
  wrapped.add(tool.name);
  return { ...tool, outputSchema: wrapSchema(tool.outputSchema) };
}

/** It stands in the answer to `initialize`; other keys of `_meta` stay. */
function withoutServerInfo(result: Params): Params {
  if (!isRecord(result._meta) || !(META.serverInfo in result._meta)) return result;
  const { _meta, ...rest } = result;
  const { [META.serverInfo]: _, ...kept } = _meta;
  return Object.keys(kept).length > 0 ? { ...rest, _meta: kept } : rest;
}
