/** Bodies and queries: what is refused, with which kind, and that no value is ever repeated. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { BODY_BYTES_MAX, parseInput, queryObject, readJson } from "../../src/api/input.ts";
import { Fault } from "../../src/base/fault.ts";
import { callBody, startBody, timeoutMs } from "../../src/model/rest.ts";

const SECRET = "hunter2-hunter2";

function post(
  body: string | Uint8Array | ReadableStream<Uint8Array>,
  type: string | null = "application/json",
): Request {
  const headers: Record<string, string> = type === null ? {} : { "content-type": type };
  return new Request("http://localhost/", { method: "POST", body, headers });
}

async function refusal(work: Promise<unknown> | (() => unknown)): Promise<Fault> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("a body", () => {
  test("is read as JSON", async () => {
    expect(await readJson(post('{"a":[1,"ü"]}'))).toEqual({ a: [1, "ü"] });
    expect(await readJson(post("{}", "application/json; charset=utf-8"))).toEqual({});
    expect(await readJson(post("{}", "application/vnd.linkspan+json"))).toEqual({});
  });
  test("may be absent, with any content type", async () => {
    expect(await readJson(new Request("http://localhost/", { method: "POST" }))).toBeUndefined();
    expect(await readJson(post("", "application/x-www-form-urlencoded"))).toBeUndefined();
  });
  test.each([null, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"])(
    "of type %p is refused: forms of web pages can send it",
    async (type) => {
      const bytes = new TextEncoder().encode("{}");
      const fault = await refusal(readJson(post(bytes, type)));
      expect(fault.kind).toBe("usage");
      expect(fault.hint).toContain("Content-Type: application/json");
    },
  );
  test.each(["{", `{"key": ${SECRET}}`, "", "\u0000", "{'a':1}", '{"a":1}{"b":2}', "NaN"].filter(Boolean))(
    "%p is no JSON",
    async (text) => {
      const fault = await refusal(readJson(post(text)));
      expect(fault.kind).toBe("usage");
      expect(fault.message).not.toContain(SECRET);
    },
  );
  test.each(["null", "[]", "5", '"text"', "true", '[{"image":"a"}]'])("%s is no object", async (text) =>
    expect((await refusal(readJson(post(text)))).kind).toBe("invalid"),
  );
  test("that is not UTF-8 is refused", async () => {
    const fault = await refusal(readJson(post(new Uint8Array([0x22, 0xff, 0xfe, 0x22]))));
    expect(fault.kind).toBe("usage");
  });
  test("is refused one byte above the limit, and taken at it", async () => {
    const filled = (bytes: number) => `{"a":"${"a".repeat(bytes - 8)}"}`;
    expect(await readJson(post(filled(BODY_BYTES_MAX)))).toBeObject();
    expect((await refusal(readJson(post(filled(BODY_BYTES_MAX + 1))))).kind).toBe("too-large");
  });
  test("without a declared length is read no further than the limit", async () => {
    let pulled = 0;
    const chunk = new Uint8Array(1024 * 1024).fill(0x20);
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(chunk);
      },
    });
    expect((await refusal(readJson(post(endless)))).kind).toBe("too-large");
    expect(pulled).toBeLessThan(16);
  });
  test("nested a million levels deep is refused, brackets inside strings are not counted", async () => {
    const depth = 1_000_000;
    expect((await refusal(readJson(post("[".repeat(depth))))).kind).toBe("invalid");
    expect((await refusal(readJson(post(`${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`)))).kind).toBe("invalid");
    const quoted = JSON.stringify({ a: `\\"${"[{".repeat(1000)}` });
    expect(await readJson(post(quoted))).toEqual(JSON.parse(quoted));
  });
  test.each(['{"__proto__":{"x":1}}', '{"a":[{"__proto__":1}]}', '{"\\u005f_proto__":1}'])(
    "%s is refused, and changes no prototype",
    async (text) => {
      expect((await refusal(readJson(post(text)))).kind).toBe("invalid");
      expect(Object.hasOwn(Object.prototype, "x")).toBeFalse();
    },
  );
});

describe("a spec", () => {
  const cases: [unknown, string][] = [
    ["text", "expected an object"],
    [{ args: [] }, "image: it is missing"],
    [{ image: 5 }, "image: expected a string"],
    [{ image: "" }, "image"],
    [{ image: "-v" }, "image"],
    [{ image: "a", args: "x" }, "args: expected an array"],
    [{ image: "a", args: [1] }, "args.0: expected a string"],
    [{ image: "a", command: [] }, "command: expected at least 1"],
    [{ image: "a", env: { A: 5 } }, "env.A: expected a string"],
    [{ image: "a", env: { "A B": "x" } }, "env"],
    [{ image: "a", env: ["A=b"] }, "env"],
    [{ image: "a", limits: { memory: "lots" } }, "limits.memory: expected a size"],
    [{ image: "a", limits: { cpus: -1 } }, "limits.cpus: expected at least 0.01"],
    [{ image: "a", volumes: ["x"] }, "volumes.0"],
    [{ image: "a", volumes: [{ source: "a", target: "b" }] }, "volumes.0.target: expected an absolute path"],
    [{ image: "a", privileged: true }, "privileged: there is no such field"],
    [{ image: "a", readOnly: "yes" }, "readOnly: expected true or false"],
  ];
  test.each(cases)("%j is refused and says where", async (body, words) => {
    const fault = await refusal(() => parseInput(startBody, body, "the body"));
    expect(fault.kind).toBe("invalid");
    expect(fault.message).toContain(words);
  });
  test("that is empty means the one that is known", () =>
    expect(parseInput(startBody, {}, "the body")).toBeUndefined());
  test("with a misspelt field is told the right one, deep inside too", async () => {
    const top = await refusal(() => parseInput(startBody, { image: "a", imge: "b" }, "the body"));
    expect(top.hint).toContain("image");
    const deep = await refusal(() => parseInput(startBody, { image: "a", limits: { memry: 1 } }, "the body"));
    expect(deep.hint).toContain("memory");
  });
  test("never has its values repeated in an error", async () => {
    const bodies = [
      { image: "a", secrets: { KEY: [SECRET] } },
      { image: "a", secrets: SECRET },
      { image: "a", env: { KEY: { inner: SECRET } } },
      { image: "a", user: `-${SECRET}` },
      { image: "a", volumes: [SECRET] },
      { image: "a", network: `${SECRET} x` },
      { image: "a", limits: { memory: SECRET } },
    ];
    for (const body of bodies) {
      const fault = await refusal(() => parseInput(startBody, body, "the body"));
      expect(JSON.stringify(fault.report())).not.toContain("hunter2");
    }
  });
});

describe("a call", () => {
  test("keeps every name in its arguments", () => {
    const body = { tool: "t", arguments: { constructor: 1, prototype: { toString: 2 }, "": null } };
    expect(parseInput(callBody, body, "the body")).toEqual(body);
  });
  test.each([
    {},
    { tool: "" },
    { tool: 5 },
    { tool: "t", arguments: [] },
    { tool: "t", arguments: null },
    { tool: "t", args: {} },
  ])("%j is refused", async (body) =>
    expect((await refusal(() => parseInput(callBody, body, "the body"))).kind).toBe("invalid"),
  );
});

describe("a query", () => {
  test("with a name twice is refused", async () => {
    expect(queryObject(new URLSearchParams("a=1&b="))).toEqual({ a: "1", b: "" });
    expect((await refusal(() => queryObject(new URLSearchParams("a=1&a=2")))).kind).toBe("usage");
  });
  test("gives timeoutMs as a number or with a unit", () => {
    expect(v.parse(timeoutMs, "1500")).toBe(1500);
    expect(v.parse(timeoutMs, "90s")).toBe(90_000);
    for (const wrong of ["", "0", "-1", "1e9", "601s", "soon"]) expect(v.is(timeoutMs, wrong)).toBeFalse();
  });
});
