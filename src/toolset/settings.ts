/** What the environment says about a toolset: the variables of features.md §3, named as the Python mcp-docker has them. */
import { join } from "node:path";
import * as v from "valibot";
import { dataDir } from "../base/data-dir.ts";
import type { LogLevel, LogOptions } from "../base/log.ts";
import { absolutePaths, type Environment, flag, parseVariables, readSafety, type Safety } from "../safety/settings.ts";

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
  SAFETY_REQUIRE_CONFIRMATION_FOR_DESTRUCTIVE: flag(true),
  SAFETY_MAX_CONCURRENT_OPERATIONS: whole(10, 1, 1_000),
  SAFETY_DEFAULT_TOOL_TIMEOUT: whole(30, 1, 3_600),
  SAFETY_MAX_RESPONSE_BYTES: whole(1024 * 1024, 1024, 64 * 1024 * 1024),
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

export interface Settings extends Safety {
  confirmDestructive: boolean;
  /** Calls that run at the same time; more wait. */
  concurrentMax: number;
  quickMs: number;
  /** Of one result, bytes of its JSON. */
  responseBytesMax: number;
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
  const found = parseVariables(variables, env);
  return {
    ...readSafety(env, "model"),
    confirmDestructive: found.SAFETY_REQUIRE_CONFIRMATION_FOR_DESTRUCTIVE,
    concurrentMax: found.SAFETY_MAX_CONCURRENT_OPERATIONS,
    quickMs: found.SAFETY_DEFAULT_TOOL_TIMEOUT * 1000,
    responseBytesMax: found.SAFETY_MAX_RESPONSE_BYTES,
    serverName: found.MCP_SERVER_NAME,
    serverVersion: found.MCP_SERVER_VERSION,
    log: {
      level: LEVELS[found.MCP_LOG_LEVEL] ?? "info",
      format: found.MCP_JSON_LOGGING ? "json" : "text",
      path: found.MCP_DOCKER_LOG_PATH || undefined,
    },
    engineMs: env["DOCKER_TIMEOUT"] ? found.DOCKER_TIMEOUT * 1000 : undefined,
    composeDir:
      absolutePaths("SAFETY_COMPOSE_DIRECTORY", [found.SAFETY_COMPOSE_DIRECTORY || join(dataDir(env), "compose")])[0] ??
      "",
    dataDir: dataDir(env),
  };
}
