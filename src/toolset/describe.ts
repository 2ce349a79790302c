/** A tool as `tools/list` shows it. */
import type { JSONObject, JSONValue } from "@modelcontextprotocol/server";
import { toJsonSchema } from "@valibot/to-json-schema";
import type { Tool } from "./tool.ts";
import { CONFIRMATION } from "./toolset.ts";

export function describe(tool: Tool) {
  const safe = tool.level === "safe";
  return {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: inputSchema(tool),
    outputSchema: objectSchema(tool, "output"),
    annotations: {
      title: tool.title,
      readOnlyHint: safe,
      destructiveHint: tool.level === "destructive",
      idempotentHint: safe || tool.idempotent === true,
      openWorldHint: tool.openWorld === true,
    },
  };
}

/** JSON Schema of an object. */
export interface ObjectSchema {
  [keyword: string]: JSONValue;
  type: "object";
  properties: JSONObject;
}

/** With the argument that every destructive tool has. */
export function inputSchema(tool: Tool): ObjectSchema {
  const schema = objectSchema(tool, "input");
  if (tool.level !== "destructive") return schema;
  const token = { type: "string", description: "From the plan that a first call without it has answered" };
  return { ...schema, properties: { ...schema.properties, [CONFIRMATION]: token } };
}

function objectSchema(tool: Tool, side: "input" | "output"): ObjectSchema {
  // As text and back: what the client will see, without the types of a schema that may be a mere boolean.
  const schema: JSONObject = JSON.parse(
    JSON.stringify(toJsonSchema(tool[side], { typeMode: side, errorMode: "ignore" })),
  );
  const properties: JSONObject = { ...(isObject(schema.properties) ? schema.properties : {}) };
  const { $schema: _, type: __, ...rest } = schema;
  return { ...rest, type: "object", properties };
}

function isObject(value: JSONObject[string] | undefined): value is JSONObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
