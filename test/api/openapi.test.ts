/** The OpenAPI document as it is served, and every route in it really asked. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import * as v from "valibot";
import { ROUTES } from "../../src/api/routes.ts";
import type { Route } from "../../src/api/route.ts";
import { type ApiUnderTest, fixture, startApi } from "../support/api.ts";
import { forge, ROOT } from "../support/backups.ts";
import { engineTest } from "../support/engine.ts";

let api: ApiUnderTest;

beforeAll(async () => {
  api = await startApi("openapi");
  await api.client.start("subject", fixture("tools-legacy.ts"));
});
afterAll(() => api[Symbol.asyncDispose]());

const BODIES: Record<string, unknown> = {
  call: { tool: "echo", arguments: { text: "x" } },
  acquire: { server: "subject", pid: process.pid, ppid: process.ppid },
  manifest: { server: "subject", pid: process.pid, ppid: process.ppid },
  learn: { answers: {} },
  createToken: { name: "subject", servers: ["subject"] },
};

/** Removal last: every other route needs the server. */
const inOrder = ROUTES.filter(({ id }) => id !== "remove").concat(ROUTES.filter(({ id }) => id === "remove"));
const ofServers = inOrder.filter(({ path }) => !path.startsWith("/volumes"));

test("the document is served, and valid", async () => {
  const document = await (await api.http("/openapi.json")).json();
  expect(await new Validator().validate(v.parse(v.record(v.string(), v.unknown()), document))).toMatchObject({
    valid: true,
  });
});

test.each(ofServers.map((route) => [`${route.method} ${route.path}`, route] as const))(
  "%s answers as documented",
  async (_, route) => {
    const init: RequestInit = { method: route.method };
    const body = BODIES[route.id];
    if (body) Object.assign(init, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
    await answersAsDocumented(api, route, "subject", init);
  },
);

engineTest("the routes of volumes answer as documented", async () => {
  await using docker = await startApi("openapi-volumes", "docker");
  const name = `linkspan-test-${crypto.randomUUID()}`;
  for (const id of ["restoreVolume", "volumes", "volume", "backupVolume", "removeVolume"]) {
    const route = ROUTES.find((one) => one.id === id);
    if (!route) throw new Error(`there is no route ${id}`);
    const upload = { body: forge([ROOT]), headers: { "content-type": "application/gzip" } };
    await answersAsDocumented(docker, route, name, { method: route.method, ...(route.upload ? upload : {}) });
  }
});

test("without an engine there are no volumes, and every route of theirs says so", async () => {
  for (const { method, path, upload } of ROUTES.filter((route) => route.path.startsWith("/volumes"))) {
    const body = upload ? { body: forge([ROOT]), headers: { "content-type": "application/gzip" } } : {};
    const response = await api.http(path.replace(":name", "notes"), { method, ...body });
    expect([method, path, response.status]).toEqual([method, path, 501]);
    expect(await response.json()).toMatchObject({ kind: "unsupported", hint: expect.stringContaining("engine") });
  }
});

async function answersAsDocumented(asked: ApiUnderTest, route: Route, name: string, init: RequestInit): Promise<void> {
  const path = route.path.replace(":name", name).replace(":id", "mcp-session-1-2-3");
  const response =
    route.access === "socket"
      ? await fetch(`http://localhost${path}`, { ...init, unix: asked.socket })
      : await asked.http(path, init);
  expect(response.status).toBe(route.answer || route.also ? 200 : 204);
  const type = response.headers.get("content-type")?.split(";")[0] ?? "";
  const documented = [...(route.answer ? ["application/json"] : []), ...Object.keys(route.also ?? {})];
  expect(documented.length === 0 ? [""] : documented).toContain(type);
  if (route.answer && type === "application/json") v.parse(route.answer, await response.json());
  else await response.text();
}
