/** Results of one era in the other's shape. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Params } from "../../src/gateway/exchange.ts";
import {
  discoverResult,
  initializeResult,
  legacyError,
  legacyResult,
  legacyVersion,
  modernError,
  modernResult,
} from "../../src/gateway/translate.ts";
import { seeded } from "../support/seed.ts";

const INFO = { name: "s", version: "1" };
const CACHED = ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"];
const METHODS = [...CACHED, "tools/call", "prompts/get", "completion/complete"];

test("legacy to modern and back keeps all that both eras know", () => {
  const anything = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }));
  const list = fc.array(
    fc.record({ name: fc.string(), inputSchema: anything, _meta: anything }, { requiredKeys: ["name"] }),
  );
  const result = fc.record(
    {
      content: fc.array(fc.record({ type: fc.constant("text"), text: fc.string() })),
      structuredContent: anything,
      isError: fc.boolean(),
      tools: list,
      prompts: list,
      contents: fc.array(anything),
      nextCursor: fc.string(),
      vendor: fc.jsonValue(),
      _meta: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.jsonValue(), { minKeys: 1 }),
    },
    { requiredKeys: ["content"] },
  );
  fc.assert(
    fc.property(fc.constantFrom(...METHODS), result, fc.boolean(), (method, given, named) => {
      const original: Params = JSON.parse(JSON.stringify(given));
      const there = modernResult(method, original, named ? INFO : undefined);
      expect(there.resultType).toBe("complete");
      expect([there.ttlMs, there.cacheScope]).toEqual(
        CACHED.includes(method) ? [0, "private"] : [undefined, undefined],
      );
      const back = legacyResult(method, there, { name: "x" }, new Set());
      expect(JSON.stringify(sorted(back))).toBe(JSON.stringify(sorted(original)));
    }),
    seeded("eras there and back", 300),
  );
});

/** Members in order, so that texts can be compared. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}

test("a modern client gets no execution of tools, and content where there is none", () => {
  const tools = [{ name: "x", execution: { taskSupport: "optional" }, inputSchema: {} }, "odd"];
  expect(modernResult("tools/list", { tools }, INFO)).toEqual({
    tools: [{ name: "x", inputSchema: {} }, "odd"],
    resultType: "complete",
    ttlMs: 0,
    cacheScope: "private",
    _meta: { "io.modelcontextprotocol/serverInfo": INFO },
  });
  expect(modernResult("tools/call", { isError: true }, undefined)).toEqual({
    isError: true,
    resultType: "complete",
    content: [],
  });
});

test("an output schema that is no object is wrapped, its references rebased, and so is the value", () => {
  const natural = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "array",
    items: { $ref: "#/$defs/node" },
    $defs: {
      node: { properties: { $ref: { type: "string" }, next: { $ref: "#" }, far: { $ref: "https://x.example/#/a" } } },
      own: { $id: "https://own.example/", items: { $ref: "#/kept" } },
      anchor: { $id: "#a", items: { $dynamicRef: "#/$defs/own" } },
    },
    default: [{ $ref: "#/data" }],
  };
  const wrapped = new Set<string>();
  const tools = [
    { name: "list", outputSchema: natural },
    { name: "object", outputSchema: { type: "object", properties: {} } },
    { name: "none" },
  ];
  const listed = legacyResult(
    "tools/list",
    { resultType: "complete", ttlMs: 5, cacheScope: "public", tools },
    {},
    wrapped,
  );
  expect(listed).toEqual({
    tools: [
      {
        name: "list",
        outputSchema: {
          $schema: natural.$schema,
          type: "object",
          required: ["result"],
          properties: {
            result: {
              ...natural,
              items: { $ref: "#/properties/result/$defs/node" },
              $defs: {
                node: {
                  properties: {
                    $ref: { type: "string" },
                    next: { $ref: "#/properties/result" },
                    far: { $ref: "https://x.example/#/a" },
                  },
                },
                own: natural.$defs.own,
                anchor: { $id: "#a", items: { $dynamicRef: "#/properties/result/$defs/own" } },
              },
            },
          },
        },
      },
      ...tools.slice(1),
    ],
  });
  expect([...wrapped]).toEqual(["list"]);
  const call = (name: string, structuredContent: unknown) =>
    legacyResult("tools/call", { content: [], structuredContent, resultType: "complete" }, { name }, wrapped);
  expect(call("list", [1]).structuredContent).toEqual({ result: [1] });
  // The schema that the client was given says so.
  expect(call("list", { a: 1 }).structuredContent).toEqual({ result: { a: 1 } });
  expect(call("object", { a: 1 }).structuredContent).toEqual({ a: 1 });
  expect(call("unlisted", null).structuredContent).toEqual({ result: null });
  expect(call("none", undefined)).toEqual({ content: [] });
});

test("errors that only one era knows", () => {
  expect(modernError({ code: -32002, message: "no such resource", data: { uri: "a://1" } })).toEqual({
    code: -32602,
    message: "no such resource",
    data: { uri: "a://1" },
  });
  const missing = { code: -32602, message: "no such resource", data: { uri: "a://1" } };
  expect(legacyError("resources/read", missing, { uri: "a://1" })).toEqual({ ...missing, code: -32002 });
  expect(legacyError("resources/read", { ...missing, data: {} }, { uri: "a://1" })).toMatchObject({ code: -32602 });
  expect(legacyError("tools/call", missing, { uri: "a://1" })).toBe(missing);
  const needs = { code: -32021, message: "needs elicitation" };
  expect(legacyError("tools/call", needs, {})).toEqual({
    result: { content: [{ type: "text", text: "needs elicitation" }], isError: true },
  });
  expect(legacyError("prompts/get", needs, {})).toBe(needs);
  for (const code of [-32020, -32022]) {
    expect(legacyError("tools/call", { code, message: "ours" }, {})).toEqual({ code: -32603, message: "ours" });
  }
});

test("descriptions and versions", () => {
  const description = {
    era: "legacy" as const,
    serverInfo: INFO,
    capabilities: { tools: {}, tasks: { list: {} }, extensions: { "com.example/x": {} } },
    instructions: undefined,
  };
  expect(discoverResult(description).capabilities).toEqual({ tools: {} });
  expect(initializeResult(description, "2025-06-18")).toEqual({
    protocolVersion: "2025-06-18",
    capabilities: { tools: {}, tasks: { list: {} } },
    serverInfo: INFO,
  });
  expect(initializeResult({ ...description, era: "modern" }, "2025-06-18").capabilities).toEqual({ tools: {} });
  expect(["2024-11-05", "2025-11-25", "2026-07-28", 7].map(legacyVersion)).toEqual([
    "2024-11-05",
    "2025-11-25",
    "2025-11-25",
    "2025-11-25",
  ]);
});
