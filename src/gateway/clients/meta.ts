/** `_meta` of requests: what belongs to the leg is taken out, everything else is the server's. */
import * as v from "valibot";
import type { Params } from "../exchange.ts";
import { isRecord } from "./message.ts";

const RESERVED = "io.modelcontextprotocol/";
export const META = {
  version: `${RESERVED}protocolVersion`,
  info: `${RESERVED}clientInfo`,
  capabilities: `${RESERVED}clientCapabilities`,
  level: `${RESERVED}logLevel`,
  serverInfo: `${RESERVED}serverInfo`,
  subscription: `${RESERVED}subscriptionId`,
} as const;

/** Modern versions that we speak, newest first. */
export const MODERN_VERSIONS = ["2026-07-28"] as const;
/** Legacy versions that we speak, newest first. */
export const LEGACY_VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] as const;

/** RFC 5424 names, least severe first. */
export const LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"] as const;
export const level = v.picklist(LEVELS);
export type Level = v.InferOutput<typeof level>;

/** Whether a message of that level is wanted by who asked for `least` and above. */
export function isWanted(of: unknown, least: Level): boolean {
  const read = v.safeParse(level, of);
  return !read.success || LEVELS.indexOf(read.output) >= LEVELS.indexOf(least);
}

export type Token = string | number;
export const clientInfo = v.object({ name: v.string(), version: v.string() });

export function metaOf(params: Params): Params {
  return isRecord(params._meta) ? params._meta : {};
}

export function progressToken(params: Params): Token | undefined {
  const token = metaOf(params).progressToken;
  return typeof token === "string" || typeof token === "number" ? token : undefined;
}

/** The params as the server is to see them. */
export function withoutLegMeta(params: Params): Params {
  if (!("_meta" in params)) return params;
  const { _meta, ...rest } = params;
  const kept = isRecord(_meta) ? Object.entries(_meta).filter(([key]) => !isOfLeg(key)) : [];
  return kept.length > 0 ? { ...rest, _meta: Object.fromEntries(kept) } : rest;
}

function isOfLeg(key: string): boolean {
  return key === "progressToken" || key.startsWith(RESERVED);
}

/** Params of a notification with one more key in `_meta`. */
export function withMeta(params: Params, key: string, value: unknown): Params {
  return { ...params, _meta: { ...metaOf(params), [key]: value } };
}

/** Params without a key of `_meta`, and without `_meta` where nothing else is in it. */
export function withoutMeta(params: Params, key: string): Params {
  if (!isRecord(params._meta) || !(key in params._meta)) return params;
  const { _meta, ...rest } = params;
  const { [key]: _, ...kept } = _meta;
  return Object.keys(kept).length > 0 ? { ...rest, _meta: kept } : rest;
}

/** Whether a message says of itself that it is of the modern era (as the SDK's `classifyInboundRequest`: any envelope). */
export function isModern(value: unknown): boolean {
  if (!isRecord(value) || !isRecord(value.params)) return false;
  const meta = metaOf(value.params);
  return META.version in meta || META.capabilities in meta;
}
