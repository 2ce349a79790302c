/**
 * The legacy era demands `type: "object"` at the root of a tool's `outputSchema`; the modern one takes any schema. Others
 * become the property `result` of an object, and so does the value (the rule of the SDK, `legacyWrap.ts`).
 */
import type { Params } from "./exchange.ts";
import { isRecord } from "./clients/message.ts";

const ROOT = "#/properties/result";
/** Their values are data; a `$ref` in it is no reference. */
const DATA_KEYS: ReadonlySet<string> = new Set(["const", "enum", "default", "examples"]);
/** Their keys are names that somebody has chosen, their values schemas. */
const NAME_KEYS: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "$defs",
  "definitions",
  "dependentSchemas",
  "dependencies",
]);
/** Nested deeper than any schema that somebody wrote: what lies below stays as it is. */
const DEPTH_MAX = 256;

export function isObjectSchema(schema: Params): boolean {
  return schema.type === "object";
}

export function wrapSchema(schema: Params): Params {
  const { $schema } = schema;
  return {
    ...(typeof $schema === "string" ? { $schema } : {}),
    type: "object",
    properties: { result: rebase(schema, false, 0) },
    required: ["result"],
  };
}

/** References into the document point one level deeper now, save where an `$id` begins a document of its own. */
function rebase(node: unknown, names: boolean, depth: number): unknown {
  if (depth > DEPTH_MAX) return node;
  if (Array.isArray(node)) return node.map((item) => rebase(item, false, depth + 1));
  if (!isRecord(node) || (!names && isDocument(node.$id))) return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => {
      if (names) return [key, rebase(value, false, depth + 1)];
      if (key === "$ref" || key === "$dynamicRef") return [key, rebaseRef(value)];
      if (DATA_KEYS.has(key)) return [key, value];
      return [key, rebase(value, NAME_KEYS.has(key), depth + 1)];
    }),
  );
}

function rebaseRef(ref: unknown): unknown {
  if (ref === "#") return ROOT;
  return typeof ref === "string" && ref.startsWith("#/") ? `${ROOT}${ref.slice(1)}` : ref;
}

/** A mere fragment names a place and begins no document. */
function isDocument(id: unknown): boolean {
  return id !== undefined && !(typeof id === "string" && id.startsWith("#"));
}
