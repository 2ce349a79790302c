/** Access tokens: who may reach which servers and tools over MCP. The manager's own token is none of them. */
import * as v from "valibot";
import { toolset } from "./gateway-section.ts";
import { name } from "./server-spec.ts";
import { duration } from "./units.ts";

const MINUTE_MS = 60_000;
const TEN_YEARS_MS = 10 * 365 * 24 * 3_600_000;
const LIST_MAX = 100;

export const tokenName = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/, "expected 1 to 63 of a-z 0-9 _ . - and a letter or digit first"),
);

/** A tool as everybody sees it on `/mcp` (`server__tool`), or the beginning of such names and a `*`. */
export const toolPattern = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9_./-]{0,190}\*?$/, "expected a tool such as files__read_file, or files__*"),
  v.check((text) => text.includes("__") || text.endsWith("*"), "expected the tool's server in front: server__tool"),
);

/** A server's name, or `toolset:NAME` for one of Linkspan's own toolsets. */
export const reachable = v.union(
  [
    // It could be taken for a tool, and a tool for it: such a server is reached by tokens for everything.
    v.pipe(
      name,
      v.check((text) => !text.includes("__"), "a server with __ in its name cannot be named in a token"),
    ),
    v.pipe(
      v.string(),
      v.startsWith("toolset:"),
      v.check((text) => v.is(toolset, text.slice("toolset:".length))),
    ),
  ],
  "expected a server's name, or toolset:docker, toolset:servers, toolset:create",
);

export const tokenBody = v.strictObject({
  name: tokenName,
  /** Everything of these servers and toolsets. Without servers and tools: everything. */
  servers: v.optional(v.pipe(v.array(reachable), v.maxLength(LIST_MAX))),
  /** These tools, beside the servers. */
  tools: v.optional(v.pipe(v.array(toolPattern), v.maxLength(LIST_MAX))),
  /** Valid for so long; for ever when absent. */
  expires: v.optional(duration(MINUTE_MS, TEN_YEARS_MS)),
  /** Only tools that say of themselves that they change nothing. */
  readOnly: v.optional(v.boolean(), false),
});
export type TokenBody = v.InferOutput<typeof tokenBody>;
export type TokenBodyInput = v.InferInput<typeof tokenBody>;

/** Times are milliseconds since 1970. */
export const tokenView = v.object({
  name: tokenName,
  servers: v.array(v.string()),
  tools: v.array(v.string()),
  readOnly: v.boolean(),
  createdAt: v.number(),
  expiresAt: v.optional(v.number()),
  /** To the minute. */
  usedAt: v.optional(v.number()),
});
export type TokenView = v.InferOutput<typeof tokenView>;

/** The only time that the token itself is shown: what is kept is its digest. */
export const tokenMade = v.object({ ...tokenView.entries, token: v.string() });
export type TokenMade = v.InferOutput<typeof tokenMade>;
