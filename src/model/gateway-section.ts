/** The section `gateway` of linkspan.yaml: what clients of the one endpoint for all servers get. */
import * as v from "valibot";
import { approvalPolicy } from "./approval.ts";
import { name } from "./server-spec.ts";
import { duration } from "./units.ts";

/** Parts of Linkspan that are tools themselves; `compact` is a form of the others. */
export const toolset = v.picklist(["docker", "servers", "create", "compact"]);
export type ToolsetName = v.InferOutput<typeof toolset>;

const PATTERNS_MAX = 1_000;

const toolPattern = v.pipe(
  v.string(),
  v.regex(
    /^[a-zA-Z0-9_*-]{1,128}$/,
    "expected a tool as clients see it, such as files__read_file; * is any characters",
  ),
);
const serverPattern = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9*][a-z0-9_.*-]{0,62}$/, "expected a server's name; * is any characters"),
);
const toolName = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z0-9_-]{1,64}$/, "expected 1 to 64 of a-z A-Z 0-9 _ -, which is what clients take"),
);
const patterns = v.pipe(v.array(toolPattern), v.maxLength(PATTERNS_MAX));
/** By the tool as clients see it without this. */
const byTool = <T extends v.GenericSchema<string, string>>(value: T) =>
  v.pipe(v.record(v.string(), value), v.maxEntries(PATTERNS_MAX));

export const toolFilter = v.strictObject({
  /** Absent: all. */
  allow: v.optional(patterns),
  /** Wins over `allow`. */
  deny: v.optional(patterns, []),
  rename: v.optional(byTool(toolName), {}),
  describe: v.optional(byTool(v.pipe(v.string(), v.maxLength(4_096))), {}),
});

/** `auto`: where the list is long. */
const findTools = v.union([v.boolean(), v.literal("auto")]);

export const gatewayGroup = v.strictObject({
  /** Absent: all. */
  servers: v.optional(v.pipe(v.array(serverPattern), v.maxLength(PATTERNS_MAX))),
  toolsets: v.optional(v.array(toolset), []),
  tools: v.optional(toolFilter, {}),
  /** Two tools that find and call the others, instead of them. */
  findTools: v.optional(findTools, false),
  /** Tools and prompts as their servers call them, without `server__`. */
  plainNames: v.optional(v.boolean(), false),
});
export type GatewayGroup = v.InferOutput<typeof gatewayGroup>;

const approval = v.strictObject({
  policy: v.optional(approvalPolicy, "block"),
  /** By server. */
  servers: v.optional(v.record(name, approvalPolicy), {}),
});

export const gatewaySection = v.strictObject({
  /** Of those who name no group; a group has its own. */
  toolsets: v.optional(v.array(toolset), ["docker", "servers", "compact"]),
  tools: v.optional(toolFilter, {}),
  findTools: v.optional(findTools, false),
  /** How long a list waits for a server of which nothing is known yet. */
  patience: v.optional(duration(0, 60_000), 2_000),
  /** What happens when a tool changes after its first use. */
  approval: v.optional(approval, {}),
  groups: v.optional(v.record(name, gatewayGroup), {}),
});
export type GatewaySection = v.InferOutput<typeof gatewaySection>;
