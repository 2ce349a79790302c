/** The OpenAPI document: valid, complete, and true to the table of routes. */
import { expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { openapiDocument } from "../../src/api/openapi.ts";
import { ROUTES } from "../../src/api/routes.ts";
import { FAULT_KINDS } from "../../src/base/fault.ts";

const document = JSON.parse(JSON.stringify(openapiDocument(ROUTES)));

test("it is valid OpenAPI 3.1", async () => {
  const { valid, errors } = await new Validator().validate(document);
  expect(errors).toBeUndefined();
  expect(valid).toBeTrue();
});

test("it has every route, once", () => {
  const documented = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item as object).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const served = ROUTES.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
  expect(documented.sort()).toEqual(served.sort());
  expect(new Set(ROUTES.map(({ id }) => id)).size).toBe(ROUTES.length);
});

test("every operation has a good answer, and a problem body for every status it can fail with", () => {
  const statuses = new Set(Object.values(FAULT_KINDS).map(({ http }) => String(http)));
  for (const item of Object.values<Record<string, { responses: Record<string, { content?: object }> }>>(
    document.paths,
  )) {
    for (const { responses } of Object.values(item)) {
      const codes = Object.keys(responses);
      expect(codes.filter((code) => code.startsWith("2"))).toHaveLength(1);
      for (const code of codes.filter((one) => !one.startsWith("2"))) {
        expect(statuses.has(code)).toBeTrue();
        expect(Object.keys(responses[code]?.content ?? {})).toEqual(["application/problem+json"]);
      }
    }
  }
});

test("the spec of a start is described field by field, as people write it", () => {
  const { schema } = document.paths["/servers/{name}/start"].post.requestBody.content["application/json"];
  expect(schema.required).toEqual(["image"]);
  expect(schema.additionalProperties).toBeFalse();
  expect(Object.keys(schema.properties)).toContain("volumes");
  expect(schema.properties.limits.properties.memory.anyOf.map((one: { type: string }) => one.type)).toEqual([
    "number",
    "string",
  ]);
});

test("the token is asked for wherever it is needed", () => {
  expect(document.paths["/health"].get.security).toEqual([]);
  expect(document.security).toEqual([{ token: [] }]);
  expect(document.paths["/servers"].get.security).toBeUndefined();
  expect(document.paths["/servers"].get.responses["401"]).toBeDefined();
});
