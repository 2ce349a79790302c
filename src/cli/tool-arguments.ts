/** `key=value` and `key:=json` on the command line → a tool's arguments, typed by the tool's own input schema. */
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";

interface Pair {
  key: string;
  text: string;
  /** `key:=json`: the text is JSON, whatever the schema says. */
  raw: boolean;
}

/**
 * The arguments from the pairs on top of `base` (from `--args`). A key that comes again makes a list.
 * Faults: `usage` for a word that is no pair, a key the tool does not have, a value of the wrong type.
 */
export function toolArguments(
  words: string[],
  base: Record<string, unknown>,
  schema: unknown,
): Record<string, unknown> {
  const grouped = new Map<string, Pair[]>();
  for (const word of words) {
    const pair = split(word);
    grouped.set(pair.key, [...(grouped.get(pair.key) ?? []), pair]);
  }
  const entries = new Map(Object.entries(base));
  for (const [key, pairs] of grouped) entries.set(key, valueOf(pairs, propertySchema(schema, key)));
  const missing = requiredOf(schema).filter((key) => !entries.has(key));
  if (missing.length > 0) {
    throw new Fault("usage", `the tool needs ${missing.map((key) => `${key}=…`).join(" ")}`, {
      hint: "linkspan tools NAME shows what each tool takes.",
    });
  }
  return Object.fromEntries(entries);
}

function split(word: string): Pair {
  const at = word.indexOf("=");
  const raw = word[at - 1] === ":";
  const key = word.slice(0, raw ? at - 1 : at);
  if (at < 1 || key === "") {
    throw new Fault("usage", `${JSON.stringify(word)} is not key=value`, {
      hint: `Write key=value, key:='{"raw":"json"}', or all arguments at once with --args '{…}'.`,
    });
  }
  return { key, text: word.slice(at + 1), raw };
}

function valueOf(pairs: Pair[], schema: unknown): unknown {
  const types = typesOf(schema);
  const [first] = pairs;
  if (first && pairs.length === 1 && (!types.includes("array") || first.raw || first.text.startsWith("["))) {
    return typed(first, types);
  }
  const itemTypes = typesOf(isObject(schema) ? schema.items : undefined);
  return pairs.map((pair) => typed(pair, itemTypes));
}

function typed({ key, text, raw }: Pair, types: string[]): unknown {
  if (raw) return json(key, text);
  if (types.length === 0 || types.includes("string")) return text;
  if (types.includes("null") && text === "null") return null;
  if (types.includes("number") || types.includes("integer")) {
    const amount = Number(text);
    if (text.trim() !== "" && Number.isFinite(amount)) return amount;
  }
  if (types.includes("boolean") && (text === "true" || text === "false")) return text === "true";
  if (types.includes("object") || types.includes("array")) return json(key, text);
  throw new Fault("usage", `${key} takes ${types.join(" or ")}, not ${JSON.stringify(text)}`, {
    hint: `${key}:=JSON passes any JSON value.`,
  });
}

function json(key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Fault("usage", `the value of ${key} is not JSON: ${JSON.stringify(text)}`, {
      hint: `Quote it for the shell: ${key}:='{"a":1}'`,
    });
  }
}

function propertySchema(schema: unknown, key: string): unknown {
  if (!isObject(schema) || !isObject(schema.properties)) return undefined;
  const properties = schema.properties;
  if (Object.hasOwn(properties, key)) return properties[key];
  if (schema.additionalProperties !== false) return undefined;
  const known = Object.keys(properties);
  const near = similar(key, known);
  throw new Fault("usage", `the tool has no argument ${key}`, {
    hint: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : `It takes ${known.join(", ") || "none"}.`,
  });
}

function requiredOf(schema: unknown): string[] {
  if (!isObject(schema) || !Array.isArray(schema.required)) return [];
  return schema.required.filter((key) => typeof key === "string");
}

/** The JSON types that a schema allows; empty where it does not say, which `typed` takes as text. */
export function typesOf(schema: unknown): string[] {
  if (!isObject(schema)) return [];
  if (typeof schema.type === "string") return [schema.type];
  if (Array.isArray(schema.type)) return schema.type.filter((type) => typeof type === "string");
  const alternatives = [schema.anyOf, schema.oneOf].find((list) => Array.isArray(list));
  if (Array.isArray(alternatives)) return [...new Set(alternatives.flatMap(typesOf))];
  if (Array.isArray(schema.enum)) return [...new Set(schema.enum.map(jsonType))];
  return [];
}

function jsonType(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
