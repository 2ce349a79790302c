/**
 * `server.json` and the answers of the MCP registry's API, as far as they are used; fields beyond that are skipped.
 * Source: schemas 2025-09-16 to 2025-12-11 at static.modelcontextprotocol.io, API v0.1 (registry, docs/reference).
 */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";

const WORDS_MAX = 64 * 1024;
const MANY = 1000;
const words = v.pipe(v.string(), v.maxLength(WORDS_MAX));
const list = <T extends v.GenericSchema>(item: T) => v.optional(v.nullable(v.pipe(v.array(item), v.maxLength(MANY))));

const inputFields = {
  value: v.optional(words),
  default: v.optional(words),
  description: v.optional(words),
  placeholder: v.optional(words),
  format: v.optional(words),
  isRequired: v.optional(v.boolean()),
  isSecret: v.optional(v.boolean()),
  choices: list(words),
};
const input = v.object(inputFields);
const withVariables = { ...inputFields, variables: v.optional(v.record(v.string(), input)) };
const keyValue = v.object({ ...withVariables, name: words });
const argument = v.variant("type", [
  v.object({ ...withVariables, type: v.literal("positional"), valueHint: v.optional(words) }),
  v.object({ ...withVariables, type: v.literal("named"), name: words }),
]);

const packageSchema = v.object({
  registryType: words,
  registryBaseUrl: v.optional(words),
  identifier: words,
  version: v.optional(words),
  runtimeHint: v.optional(words),
  transport: v.optional(v.object({ type: words })),
  runtimeArguments: list(argument),
  packageArguments: list(argument),
  environmentVariables: list(keyValue),
});

const serverSchema = v.object({
  name: v.pipe(
    v.string(),
    v.regex(/^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/, "expected a name such as io.github.user/server"),
  ),
  title: v.optional(words),
  description: v.optional(words, ""),
  version: v.optional(words, ""),
  packages: list(packageSchema),
  remotes: list(v.object({ type: words, url: words })),
});

/** The registry's own remarks are beside the server, under a key of its name. */
const answerSchema = v.object({ server: serverSchema, _meta: v.optional(v.record(v.string(), v.unknown())) });
const pageSchema = v.object({
  servers: v.pipe(v.array(v.union([answerSchema, serverSchema])), v.maxLength(MANY)),
  metadata: v.optional(v.object({ nextCursor: v.optional(v.nullable(v.string())) })),
});

export type Input = v.InferOutput<typeof input>;
export type KeyValue = v.InferOutput<typeof keyValue>;
export type Argument = v.InferOutput<typeof argument>;
export type Package = v.InferOutput<typeof packageSchema>;
export type ServerJson = v.InferOutput<typeof serverSchema>;

export interface Page {
  servers: ServerJson[];
  next: string | undefined;
}

/** One server: a server.json, or the registry's answer with one in it. Fault `invalid`. */
export function parseServer(data: unknown, where: string): ServerJson {
  const answer = v.safeParse(answerSchema, data);
  if (answer.success) return answer.output.server;
  const isWrapped = typeof data === "object" && data !== null && "server" in data;
  const parsed = v.safeParse(serverSchema, data);
  if (parsed.success) return parsed.output;
  throw unexpected(where, isWrapped ? answer.issues : parsed.issues, data);
}

/** Several: an answer of the registry, or a list. Fault `invalid`. */
export function parsePage(data: unknown, where: string): Page {
  const parsed = v.safeParse(pageSchema, Array.isArray(data) ? { servers: data } : data);
  if (!parsed.success) throw unexpected(where, parsed.issues, data);
  const { servers, metadata } = parsed.output;
  return {
    servers: servers.map((one) => ("server" in one ? one.server : one)),
    next: metadata?.nextCursor ?? undefined,
  };
}

function unexpected(where: string, issues: readonly v.BaseIssue<unknown>[], data: unknown): Fault {
  const [first] = issues;
  const path = first && v.getDotPath(first);
  const isOld = JSON.stringify(data).includes('"registry_type"');
  return new Fault("invalid", `${where} is no server.json${path ? ` at ${path}` : ""}: ${first?.message ?? ""}`, {
    hint: isOld
      ? "Its schema is older than 2025-09-16, when names like registry_type became registryType."
      : "https://github.com/modelcontextprotocol/registry describes the format.",
  });
}
