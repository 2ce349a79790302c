/** What the environment allows: the `SAFETY_*` variables that hold for tools, REST and the command line alike. */
import { isAbsolute, resolve } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";

export type Environment = Record<string, string | undefined>;

const YES = new Set(["1", "true", "yes", "on"]);
const NO = new Set(["0", "false", "no", "off", ""]);

export const flag = (standard: boolean) =>
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

/** `allowed`: what holds for destroying and for what is privileged where nothing is said. */
const variables = (allowed: boolean) =>
  v.object({
    SAFETY_ALLOW_MODERATE_OPERATIONS: flag(true),
    SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: flag(allowed),
    SAFETY_ALLOW_PRIVILEGED_CONTAINERS: flag(allowed),
    SAFETY_ALLOWED_TOOLS: list,
    SAFETY_DENIED_TOOLS: list,
    SAFETY_ALLOWED_PROMPTS: list,
    SAFETY_ALLOWED_RESOURCES: list,
    SAFETY_LOG_REDACT_PATTERNS: list,
    SAFETY_VOLUME_MOUNT_BLOCKLIST: list,
    SAFETY_VOLUME_MOUNT_ALLOWLIST: list,
  });

export interface Safety {
  allowModerate: boolean;
  allowDestructive: boolean;
  allowPrivileged: boolean;
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
}

/**
 * `who`: a `model` may destroy nothing unless somebody says so; the `owner`, who has the manager's token or its socket,
 * may do everything unless somebody says otherwise. Faults: `usage`, naming the variable.
 */
export function readSafety(env: Environment, who: "model" | "owner"): Safety {
  const found = parseVariables(variables(who === "owner"), env);
  return {
    allowModerate: found.SAFETY_ALLOW_MODERATE_OPERATIONS,
    allowDestructive: found.SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS,
    allowPrivileged: found.SAFETY_ALLOW_PRIVILEGED_CONTAINERS,
    allowedTools: new Set(found.SAFETY_ALLOWED_TOOLS),
    deniedTools: new Set(found.SAFETY_DENIED_TOOLS),
    allowedPrompts: new Set(found.SAFETY_ALLOWED_PROMPTS),
    allowedResources: new Set(found.SAFETY_ALLOWED_RESOURCES),
    redactPatterns: found.SAFETY_LOG_REDACT_PATTERNS.map(redactPattern),
    mountBlocklist: absolutePaths("SAFETY_VOLUME_MOUNT_BLOCKLIST", found.SAFETY_VOLUME_MOUNT_BLOCKLIST),
    mountAllowlist: absolutePaths("SAFETY_VOLUME_MOUNT_ALLOWLIST", found.SAFETY_VOLUME_MOUNT_ALLOWLIST),
  };
}

/** The environment without them: whoever starts a manager for others does not give it limits of its own. */
export function withoutSafety(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("SAFETY_")));
}

/** Faults: `usage`, naming the variable and never its value. */
export function parseVariables<S extends v.GenericSchema>(schema: S, env: Environment): v.InferOutput<S> {
  const parsed = v.safeParse(schema, env);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Fault("usage", `the environment variable ${v.getDotPath(issue)} is not valid: ${issue.message}`);
}

/** Faults: `usage`. */
export function absolutePaths(variable: string, words: readonly string[]): string[] {
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
