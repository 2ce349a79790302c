/** What every request of the modern era says in `_meta` (2026-07-28, "basic"). */
import * as v from "valibot";
import { type Client, type Params, RpcFault } from "../exchange.ts";
import { modernCapabilities } from "./capabilities.ts";
import { CODE, record } from "./message.ts";
import {
  clientInfo,
  type Level,
  level,
  META,
  MODERN_VERSIONS,
  metaOf,
  progressToken,
  type Token,
  withoutLegMeta,
} from "./meta.ts";

export interface Envelope {
  info: Client["info"];
  capabilities: Params;
  /** The least severe log messages that are wanted; none when absent. */
  level: Level | undefined;
  token: Token | undefined;
  /** The request's params without all that. */
  params: Params;
}

/** Throws an `RpcFault`: -32022 with the versions that we speak, -32602 for anything else. */
export function readEnvelope(params: Params): Envelope {
  const meta = metaOf(params);
  const requested = meta[META.version];
  if (typeof requested !== "string") throw invalid(`_meta has no ${META.version}`);
  if (!MODERN_VERSIONS.some((known) => known === requested)) {
    const data = { supported: [...MODERN_VERSIONS], requested };
    throw new RpcFault({ code: CODE.unsupportedVersion, message: "the protocol version is not supported", data });
  }
  const declared = v.safeParse(record, meta[META.capabilities]);
  if (!declared.success) throw invalid(`_meta has no ${META.capabilities}`);
  const info = v.safeParse(v.optional(clientInfo), meta[META.info]);
  if (!info.success) throw invalid(`${META.info} in _meta has no name and version`);
  const wanted = v.safeParse(v.optional(level), meta[META.level]);
  if (!wanted.success) throw invalid(`${META.level} in _meta is no level`);
  return {
    info: info.output,
    capabilities: modernCapabilities(declared.output),
    level: wanted.output,
    token: progressToken(params),
    params: withoutLegMeta(params),
  };
}

export function invalid(message: string): RpcFault {
  return new RpcFault({ code: CODE.invalidParams, message });
}
