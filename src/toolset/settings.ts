/** What the environment says about the toolset: the variables of features.md §3, named as the Python mcp-docker has them. */
import { isAbsolute, join, resolve } from "node:path";
import * as v from "valibot";
import { dataDir } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";
import type { LogLevel, LogOptions } from "../base/log.ts";
import type { Environment } from "../docker/endpoint.ts";

const YES = new Set(["1", "true", "yes", "on"]);
const NO = new Set(["0", "false", "no", "off", ""]);

const flag = (standard: boolean) =>
  v.optional(
    v.pipe(
      v.string(),
      v.toLowerCase(),
      v.trim(),
      v.check((text) => YES.has(text) || NO.has(text), "expected true or false"),
      v.transform((text) => YES.has(text)),
    ),
    String(standard),
  );

const whole = (standard: number, min: number, max: number) =>
  v.optional(
    v.pipe(
      v.string(),
      v.trim(),
      v.regex(/^\d{1,12}$/, "expected a whole number"),
      v.transform(Number),
      v.minValue(min, `expected at least ${min}`),
      v.maxValue(max, `expected at most ${max}`),
    ),
    String(standard),
  );

/** `a,b` or a JSON array, which is how the Python mcp-docker reads lists. */
const list = v.optional(
  v.pipe(
    v.string(),
    v.trim(),
    v.rawTransform<string, string[]>(({ dataset, addIssue, NEVER }) => {
      if (!dataset.value.startsWith("["))
        return dataset.value
          .split(",")
          .map((word) => word.trim())
          .filter(Boolean);
      const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), v.array(v.string())), dataset.value);
      if (parsed.success) return parsed.output;
      addIssue({ message: "expected a,b or a JSON array of strings" });
      return NEVER;
    }),
  ),
  "",
);

/** Python's names of levels. */
const LEVELS: Record<string, LogLevel> = {
  debug: "debug",
  info: "info",
  warning: "warn",
  warn: "warn",
  error: "error",
  critical: "error",
};

const variables = v.object({
  SAFETY_ALLOW_MODERATE_OPERATIONS: flag(true),
  SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: flag(false),
  SAFETY_ALLOW_PRIVILEGED_CONTAINERS: flag(false),
  SAFETY_REQUIRE_CONFIRMATION_FOR_DESTRUCTIVE: flag(true),
  SAFETY_MAX_CONCURRENT_OPERATIONS: whole(10, 1, 1_000),
  SAFETY_DEFAULT_TOOL_TIMEOUT: whole(30, 1, 3_600),
  SAFETY_MAX_RESPONSE_BYTES: whole(1024 * 1024, 1024, 64 * 1024 * 1024),
  SAFETY_ALLOWED_TOOLS: list,
  SAFETY_DENIED_TOOLS: list,
  SAFETY_ALLOWED_PROMPTS: list,
  SAFETY_ALLOWED_RESOURCES: list,
  SAFETY_LOG_REDACT_PATTERNS: list,
  SAFETY_VOLUME_MOUNT_BLOCKLIST: list,
  SAFETY_VOLUME_MOUNT_ALLOWLIST: list,
  SAFETY_COMPOSE_DIRECTORY: v.optional(v.string()),
  MCP_SERVER_NAME: v.optional(v.string(), "linkspan"),
  MCP_SERVER_VERSION: v.optional(v.string()),
  MCP_LOG_LEVEL: v.optional(
    v.pipe(
      v.string(),
      v.trim(),
      v.toLowerCase(),
      v.picklist(Object.keys(LEVELS), "expected DEBUG, INFO, WARNING, ERROR or CRITICAL"),
    ),
    "info",
  ),
  MCP_DOCKER_LOG_PATH: v.optional(v.string()),
  MCP_JSON_LOGGING: flag(false),
  DOCKER_TIMEOUT: whole(60, 1, 3_600),
});

export interface Settings {
  allowModerate: boolean;
  allowDestructive: boolean;
  allowPrivileged: boolean;
  confirmDestructive: boolean;
  /** Calls that run at the same time; more wait. */
  concurrentMax: number;
  quickMs: number;
  /** Of one result, bytes of its JSON. */
  responseBytesMax: number;
  /** Empty: all. */
  allowedTools: ReadonlySet<string>;
  deniedTools: ReadonlySet<string>;
  allowedPrompts: ReadonlySet<string>;
  allowedResources: ReadonlySet<string>;
  /** What is hidden in every answer, beside what reads like a credential anyhow. */
  redactPatterns: readonly RegExp[];
  /** Absolute host paths that no container may mount, nor anything below or above them. */
  mountBlocklist: readonly string[];
  /** Absolute host paths below which binds are allowed. Empty: read-only ones of what is not protected. */
  mountAllowlist: readonly string[];
  serverName: string;
  serverVersion: string | undefined;
  log: LogOptions;
  /** Of one quick call of the engine, ms; undefined: as everywhere in Linkspan. */
  engineMs: number | undefined;
  /** Where docker_compose_write_file writes, and where files named without a / at the beginning are. */
  composeDir: string;
  /** For recovery bundles and the audit log. */
  dataDir: string;
}

/** Faults: `usage`, naming the variable. */
export function readSettings(env: Environment): Settings {
  const parsed = v.safeParse(variables, env);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new Fault("usage", `the environment variable ${v.getDotPath(issue)} is not valid: ${issue.message}`);
  }
  const found = parsed.output;
  return {
    allowModerate: found.SAFETY_ALLOW_MODERATE_OPERATIONS,
    allowDestructive: found.SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS,
    allowPrivileged: found.SAFETY_ALLOW_PRIVILEGED_CONTAINERS,
    confirmDestructive: found.SAFETY_REQUIRE_CONFIRMATION_FOR_DESTRUCTIVE,
    concurrentMax: found.SAFETY_MAX_CONCURRENT_OPERATIONS,
    quickMs: found.SAFETY_DEFAULT_TOOL_TIMEOUT * 1000,
    responseBytesMax: found.SAFETY_MAX_RESPONSE_BYTES,
    allowedTools: new Set(found.SAFETY_ALLOWED_TOOLS),
    deniedTools: new Set(found.SAFETY_DENIED_TOOLS),
    allowedPrompts: new Set(found.SAFETY_ALLOWED_PROMPTS),
    allowedResources: new Set(found.SAFETY_ALLOWED_RESOURCES),
    redactPatterns: found.SAFETY_LOG_REDACT_PATTERNS.map(redactPattern),
    mountBlocklist: paths("SAFETY_VOLUME_MOUNT_BLOCKLIST", found.SAFETY_VOLUME_MOUNT_BLOCKLIST),
    mountAllowlist: paths("SAFETY_VOLUME_MOUNT_ALLOWLIST", found.SAFETY_VOLUME_MOUNT_ALLOWLIST),
    serverName: found.MCP_SERVER_NAME,
    serverVersion: found.MCP_SERVER_VERSION,
    log: {
      level: LEVELS[found.MCP_LOG_LEVEL] ?? "info",
      format: found.MCP_JSON_LOGGING ? "json" : "text",
      path: found.MCP_DOCKER_LOG_PATH || undefined,
    },
    engineMs: env["DOCKER_TIMEOUT"] ? found.DOCKER_TIMEOUT * 1000 : undefined,
    composeDir:
      paths("SAFETY_COMPOSE_DIRECTORY", [found.SAFETY_COMPOSE_DIRECTORY || join(dataDir(env), "compose")])[0] ?? "",
    dataDir: dataDir(env),
  };
}

function paths(variable: string, words: readonly string[]): string[] {
  const relative = words.find((word) => !isAbsolute(word));
  if (relative !== undefined) throw new Fault("usage", `${variable}: ${relative} is not an absolute path`);
  return words.map((word) => resolve(word));
}

function redactPattern(source: string): RegExp {
  const pattern = compiled(source);
  if (pattern && !pattern.test("")) return pattern;
  const wrong = pattern ? "fits an empty text" : "is no regular expression";
  throw new Fault("usage", `SAFETY_LOG_REDACT_PATTERNS: ${source} ${wrong}`);
}

function compiled(source: string): RegExp | undefined {
  try {
    return new RegExp(source, "g");
  } catch {
    return undefined;
  }
}
