/** The OpenAPI 3.1 document, made from the table of routes. */
import { type ConversionConfig, toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import { FAULT_KINDS, type FaultKind } from "../base/fault.ts";
import { VERSION } from "../base/version.ts";
import { startBody, timeoutMs } from "../model/rest.ts";
import { serverBody } from "../model/server-spec.ts";
import { problem, progressView } from "../model/views.ts";
import { JSON_TYPE, NDJSON_TYPE } from "./responses.ts";
import type { Route } from "./route.ts";

type Json = Record<string, unknown>;

/** What any route can fail with: the request itself, who asks, a defect, a manager that is stopping. */
const EVERYWHERE: readonly FaultKind[] = ["usage", "invalid", "forbidden", "internal"];

export function openapiDocument(routes: readonly Route[]): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Linkspan",
      version: VERSION,
      description: "Runs MCP servers in containers. Errors are RFC 9457 problem bodies.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description: "`linkspan token` prints it. The manager's unix socket needs none.",
        },
      },
      schemas: { Problem: schemaOf(problem, "output"), Progress: schemaOf(progressView, "output") },
    },
  };
}

function operation(route: Route): Json {
  return {
    operationId: route.id,
    summary: route.summary,
    ...(route.access === undefined || route.access === "token" ? {} : { security: [] }),
    ...described(route),
    parameters: [...pathParameters(route), ...queryParameters(route)],
    ...(route.body ? { requestBody: requestBody(route.body) } : {}),
    ...(route.upload ? { requestBody: { required: true, content: { [route.upload.type]: {} } } } : {}),
    responses: { ...goodAnswer(route), ...badAnswers(route) },
  };
}

function described({ access, level }: Route): Json {
  const words = [
    ...(access === "socket" ? ["Only over the manager's unix socket."] : []),
    ...(level === undefined ? [] : [`Level: ${level}.`]),
  ];
  return words.length > 0 ? { description: words.join(" ") } : {};
}

function requestBody(schema: v.GenericSchema): Json {
  return { required: schema !== startBody, content: { [JSON_TYPE]: { schema: schemaOf(schema, "input") } } };
}

function pathParameters({ params = {} }: Route): Json[] {
  return Object.entries(params).map(([name, schema]) => {
    return { name, in: "path", required: true, schema: schemaOf(schema, "input") };
  });
}

function queryParameters(route: Route): Json[] {
  const query = route.query ? schemaOf(route.query, "input") : {};
  const parameters = Object.entries(isObject(query.properties) ? query.properties : {}).map(([name, schema]) => {
    return { name, in: "query", required: false, schema };
  });
  if (route.waitMs === undefined) return parameters;
  const description = `How long to wait, in milliseconds or with a unit (90s); ${route.waitMs} when absent.`;
  return [
    ...parameters,
    { name: "timeoutMs", in: "query", required: false, description, schema: schemaOf(timeoutMs, "input") },
  ];
}

function goodAnswer(route: Route): Json {
  const description = route.answers;
  const content: Json = {};
  if (route.answer) content[JSON_TYPE] = { schema: schemaOf(route.answer, "output") };
  for (const [type, schema] of Object.entries(route.also ?? {})) {
    content[type] = {
      schema: schema === "text" ? { type: type === JSON_TYPE ? "object" : "string" } : schemaOf(schema, "output"),
    };
  }
  if (route.progress && route.answer) {
    content[NDJSON_TYPE] = { schema: progressLine(schemaOf(route.answer, "output")) };
  }
  return Object.keys(content).length === 0 ? { 204: { description } } : { 200: { description, content } };
}

/** One line of the stream. */
function progressLine(result: Json): Json {
  return {
    type: "object",
    properties: {
      progress: { $ref: "#/components/schemas/Progress" },
      result,
      error: { $ref: "#/components/schemas/Problem" },
    },
  };
}

/** One answer per status; kinds that share one are named in it. */
function badAnswers(route: Route): Json {
  const kinds = new Set<FaultKind>([...EVERYWHERE, ...(route.faults ?? [])]);
  if (route.access !== "open") kinds.add("unauthenticated");
  if (route.body || route.upload) kinds.add("too-large");
  if (route.waitMs !== undefined) kinds.add("timeout");
  const byStatus = new Map<number, FaultKind[]>();
  for (const kind of kinds) {
    const { http } = FAULT_KINDS[kind];
    byStatus.set(http, [...(byStatus.get(http) ?? []), kind]);
  }
  const schema = { $ref: "#/components/schemas/Problem" };
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      status,
      { description: list.join(" or "), content: { "application/problem+json": { schema } } },
    ]),
  );
}

/** `input`: what may be sent, with sizes and durations as people write them. */
function schemaOf(schema: v.GenericSchema, typeMode: "input" | "output"): Json {
  const { $schema: _dialect, ...json } = toJsonSchema(schema === startBody ? serverBody : schema, {
    ...CONVERSION,
    typeMode,
  });
  return { ...json };
}

const CONVERSION: ConversionConfig = {
  // A check or a transform in code has no JSON Schema; what precedes it does.
  errorMode: "ignore",
  overrideSchema: ({ valibotSchema, jsonSchema }) =>
    valibotSchema.type === "custom" ? { ...jsonSchema, type: "object" } : undefined,
};

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null;
}
