/** What the API refuses, through real connections: strangers, web pages, and bodies of every bad kind. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { connect } from "node:net";
import * as v from "valibot";
import { ROUTES } from "../../src/api/routes.ts";
import { FAULT_KINDS, isFaultKind } from "../../src/base/fault.ts";
import { type Problem, problem as problemSchema } from "../../src/model/views.ts";
import { type ApiUnderTest, startApi } from "../support/api.ts";
import { seeded } from "../support/seed.ts";

let api: ApiUnderTest;

beforeAll(async () => {
  api = await startApi("refusals");
});
afterAll(() => api[Symbol.asyncDispose]());

/** The problem body of a refusal, checked for its form. */
async function problem(response: Response): Promise<Problem> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const body = v.parse(problemSchema, await response.json());
  expect(body.status).toBe(response.status);
  expect(isFaultKind(body.kind) ? Number(FAULT_KINDS[body.kind].http) : body.kind).toBe(response.status);
  expect(body.type).toBe(`urn:linkspan:fault:${body.kind}`);
  return body;
}

const concrete = (path: string) => path.replace(/:(\w+)/g, "nobody");

describe("without the token", () => {
  test.each(ROUTES.map(({ method, path, access }) => [method, path, access] as const))(
    "%s %s",
    async (method, path, access) => {
      const response = await fetch(`${api.url}${concrete(path)}`, { method });
      if (access === "open") expect(response.status).toBe(200);
      else expect((await problem(response)).kind).toBe("unauthenticated");
    },
  );
  test("a route that is not there is not told from one that is", async () => {
    const response = await fetch(`${api.url}/nothing`);
    expect((await problem(response)).kind).toBe("unauthenticated");
    expect(response.headers.get("www-authenticate")).toStartWith("Bearer");
  });
  test("a wrong token is refused, and not repeated", async () => {
    const headers = { authorization: "Bearer hunter2-hunter2" };
    const response = await fetch(`${api.url}/servers`, { headers });
    expect(JSON.stringify(await problem(response))).not.toContain("hunter2");
  });
  test("nothing of a big body is read", async () => {
    const response = await fetch(`${api.url}/servers/a/start`, { method: "POST", body: new Uint8Array(9_000_000) });
    expect((await problem(response)).kind).toBe("unauthenticated");
  });
});

describe("web pages", () => {
  test.each(["http://evil.example", "null", "http://localhost:1"])("Origin %s is refused", async (origin) => {
    for (const path of ["/servers", "/health"]) {
      const response = await api.http(path, { headers: { origin } });
      expect((await problem(response)).kind).toBe("forbidden");
      expect(response.headers.get("access-control-allow-origin")).toBeNull();
    }
  });
  test("a rebound Host is refused", async () => {
    expect((await problem(await api.http("/servers", { headers: { host: "evil.example:8080" } }))).kind).toBe(
      "forbidden",
    );
  });
  test("a preflight is not answered", async () => {
    const headers = { origin: "http://evil.example", "access-control-request-method": "POST" };
    const response = await fetch(`${api.url}/servers/a/start`, { method: "OPTIONS", headers });
    expect(response.ok).toBeFalse();
    expect([...response.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
  });
  test("a form's content type is refused, with what to add", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const response = await api.http("/servers/a/start", { method: "POST", headers, body: '{"image":"a"}' });
    expect(await problem(response)).toMatchObject({ kind: "usage", hint: expect.stringContaining("Content-Type") });
  });
});

describe("bodies", () => {
  const send = (body: string | Uint8Array, path = "/servers/a/start") =>
    api.http(path, { method: "POST", body, headers: { "content-type": "application/json" } });

  test.each([
    ["invalid JSON", '{"image":', 400],
    ["no object", "[]", 422],
    ["null", "null", 422],
    ["a wrong type", '{"image":5}', 422],
    ["an unknown field", '{"image":"a","privileged":true}', 422],
    ["__proto__", '{"image":"a","__proto__":{"privileged":true}}', 422],
    ["__proto__ deep inside", '{"image":"a","env":{"__proto__":"x"}}', 422],
    ["a NUL", '{"image":"a","args":["x\\u0000y"]}', 422],
    ["deep nesting", `{"image":${"[".repeat(100_000)}`, 422],
    ["an option as an image", '{"image":"--privileged"}', 422],
  ])("%s", async (_, body, status) => {
    const response = await send(body);
    expect(response.status).toBe(status);
    await problem(response);
  });
  test("9 MB", async () => {
    const body = `{"image":"${"a".repeat(9_000_000)}"}`;
    expect((await problem(await send(body))).kind).toBe("too-large");
  });
  test("9 MB in chunks, with no length declared", async () => {
    const chunk = new Uint8Array(1_000_000).fill(0x20);
    let left = 9;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => (left-- > 0 ? controller.enqueue(chunk) : controller.close()),
    });
    const headers = { "content-type": "application/json" };
    expect((await problem(await api.http("/servers/a/start", { method: "POST", body, headers }))).kind).toBe(
      "too-large",
    );
  });
  test("a body that stops coming keeps nobody else waiting", async () => {
    const socket = connect(Number(new URL(api.url).port), "127.0.0.1");
    socket.write(
      `POST /servers/a/start HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${api.token}\r\n` +
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
    );
    expect((await api.http("/servers")).status).toBe(200);
    socket.destroy();
  });
});

test("no JSON whatever is answered with a defect", async () => {
  const paths = ["/servers/fuzzed/start", "/servers/fuzzed/stop", "/servers/fuzzed/call", "/sessions"];
  const field = fc.constantFrom(
    "image",
    "args",
    "env",
    "limits",
    "volumes",
    "tool",
    "arguments",
    "server",
    "pid",
    "ppid",
    "",
  );
  const body = fc.oneof(fc.jsonValue(), fc.dictionary(field, fc.jsonValue()));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), body, async (path, value) => {
      const headers = { "content-type": "application/json" };
      const init = { method: "POST", headers, body: JSON.stringify(value) };
      const response = await fetch(`http://localhost${path}`, { ...init, unix: api.socket });
      const { kind } = await problem(response);
      expect(kind).not.toBe("internal");
    }),
    seeded("JSON bodies", 300),
  );
});

describe("names, paths and queries", () => {
  test.each([
    "/servers/UPPER",
    "/servers/-a",
    "/servers/a%20b",
    "/servers/..%2f..%2fetc",
    `/servers/${"a".repeat(100)}`,
  ])("%s is no name", async (path) => expect((await problem(await api.http(path))).kind).toBe("invalid"));
  test("an unknown path names the way out, a wrong method the right ones", async () => {
    expect((await problem(await api.http("/server"))).hint).toContain("/openapi.json");
    expect((await problem(await api.http("/servers/a", { method: "PUT" }))).hint).toBe(
      "This path takes GET and DELETE.",
    );
  });
  test.each([
    "/servers?all=1",
    "/servers/a/logs?tail=-1",
    "/servers/a/logs?tail=x",
    "/servers/a/logs?follow=maybe",
    "/events?limit=1e9",
    "/servers/a/stats?timeoutMs=0",
    "/servers/a/stats?timeoutMs=1h",
    "/servers?timeoutMs=5",
  ])("%s is refused", async (path) => expect((await problem(await api.http(path))).kind).toBe("invalid"));
  test("a query that has a name twice is refused", async () =>
    expect((await problem(await api.http("/events?limit=1&limit=2"))).kind).toBe("usage"));
});

test("answers are for nobody's cache and nobody's guess", async () => {
  for (const path of ["/health", "/servers", "/nothing"]) {
    const { headers } = await api.http(path);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  }
});
