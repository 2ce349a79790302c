import { expect, test } from "bun:test";
import { Fault } from "../../src/base/fault.ts";
import { toolArguments } from "../../src/cli/tool-arguments.ts";

const schema = {
  type: "object",
  properties: {
    path: { type: "string" },
    head: { type: "integer" },
    ratio: { type: "number" },
    deep: { type: "boolean" },
    tags: { type: "array", items: { type: "string" } },
    sizes: { type: "array", items: { type: "number" } },
    options: { type: "object" },
    limit: { type: ["integer", "null"] },
    either: { anyOf: [{ type: "number" }, { type: "boolean" }] },
    color: { enum: ["red", "green"] },
    anything: {},
  },
  additionalProperties: false,
};

test.each<[string[], Record<string, unknown>]>([
  [["path=/a=b"], { path: "/a=b" }],
  [["path="], { path: "" }],
  [["path=42"], { path: "42" }],
  [["head=42"], { head: 42 }],
  [["head=-1"], { head: -1 }],
  [["ratio=1e3"], { ratio: 1000 }],
  [["deep=true"], { deep: true }],
  [["deep=false"], { deep: false }],
  [["tags=a"], { tags: ["a"] }],
  [["tags=a", "tags=b"], { tags: ["a", "b"] }],
  [['tags=["a","b"]'], { tags: ["a", "b"] }],
  [["sizes=1", "sizes=2"], { sizes: [1, 2] }],
  [['options={"a":1}'], { options: { a: 1 } }],
  [["limit=null"], { limit: null }],
  [["limit=3"], { limit: 3 }],
  [["either=true"], { either: true }],
  [["either=3"], { either: 3 }],
  [["color=red"], { color: "red" }],
  [["anything=7"], { anything: "7" }],
  [["anything:=7"], { anything: 7 }],
  [['head:="text"'], { head: "text" }],
  [["tags:=[1,2]"], { tags: [1, 2] }],
])("%p", (words, expected) => {
  expect(toolArguments(words, {}, schema)).toEqual(expected);
});

test.each<[string[], string, string]>([
  [["path"], "is not key=value", "--args"],
  [["=x"], "is not key=value", ""],
  [[":=1"], "is not key=value", ""],
  [["head=many"], 'head takes integer, not "many"', "head:=JSON"],
  [["head="], "head takes integer", ""],
  [["deep=yes"], "deep takes boolean", ""],
  [["options={"], "the value of options is not JSON", "Quote"],
  [["anything:=x"], "the value of anything is not JSON", ""],
  [["pth=x"], "the tool has no argument pth", "Did you mean path?"],
  [["zzzzzz=x"], "the tool has no argument zzzzzz", "It takes path, head"],
])("%p is refused", (words, message, hint) => {
  const thrown = catching(() => toolArguments(words, {}, schema));
  expect(thrown.kind).toBe("usage");
  expect(thrown.message).toContain(message);
  expect(thrown.hint ?? "").toContain(hint);
});

test("pairs go on top of --args, and a missing argument is named before anything is sent", () => {
  const strict = { ...schema, required: ["path", "head"] };
  expect(toolArguments(["head=2"], { path: "/x", head: 1 }, strict)).toEqual({ path: "/x", head: 2 });
  expect(catching(() => toolArguments(["head=2"], {}, strict)).message).toBe("the tool needs path=…");
});

test("an open or unknown schema takes any key as text", () => {
  expect(toolArguments(["x=1"], {}, { type: "object" })).toEqual({ x: "1" });
  expect(toolArguments(["x=1"], {}, undefined)).toEqual({ x: "1" });
});

test("__proto__ is a key like any other", () => {
  const made = toolArguments(["__proto__=x", "constructor=y"], {}, {});
  expect(Object.getPrototypeOf(made)).toBe(Object.prototype);
  expect(JSON.stringify(made)).toBe('{"__proto__":"x","constructor":"y"}');
});

function catching(work: () => unknown): Fault {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}
