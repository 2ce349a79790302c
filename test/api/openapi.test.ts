/** The OpenAPI document as it is served, and every route in it really asked. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import * as v from "valibot";
import { ROUTES } from "../../src/api/routes.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";

let api: ApiUnderTest;

beforeAll(async () => {
  api = await startApi("openapi");
  await api.client.start("subject", fixture("tools-legacy.ts"));
});
afterAll(() => api[Symbol.asyncDispose]());

const BODIES: Record<string, unknown> = {
  call: { tool: "echo", arguments: { text: "x" } },
  acquire: { server: "subject", pid: process.pid, ppid: process.ppid },
};

/** Removal last: every other route needs the server. */
const inOrder = ROUTES.filter(({ id }) => id !== "remove").concat(ROUTES.filter(({ id }) => id === "remove"));

test("the document is served, and valid", async () => {
  const document = await (await api.http("/openapi.json")).json();
  expect(await new Validator().validate(v.parse(v.record(v.string(), v.unknown()), document))).toMatchObject({
    valid: true,
  });
});

test.each(inOrder.map((route) => [`${route.method} ${route.path}`, route] as const))(
  "%s answers as documented",
  async (_, route) => {
    const path = route.path.replace(":name", "subject").replace(":id", "mcp-session-1-2-3");
    const body = BODIES[route.id];
    const init: RequestInit = { method: route.method };
    if (body) Object.assign(init, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
    const response =
      route.access === "socket"
        ? await fetch(`http://localhost${path}`, { ...init, unix: api.socket })
        : await api.http(path, init);
    expect(response.status).toBe(route.answer || route.also ? 200 : 204);
    const type = response.headers.get("content-type")?.split(";")[0] ?? "";
    const documented = [...(route.answer ? ["application/json"] : []), ...Object.keys(route.also ?? {})];
    expect(documented.length === 0 ? [""] : documented).toContain(type);
    if (route.answer && type === "application/json") v.parse(route.answer, await response.json());
    else await response.text();
  },
);
