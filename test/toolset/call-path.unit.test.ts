/** The one way of every call, with tools that only exist here. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { Fault } from "../../src/base/fault.ts";
import { clip, output } from "../../src/toolset/output.ts";
import { readSettings } from "../../src/toolset/settings.ts";
import { type Planned, type Tool, tool } from "../../src/toolset/tool.ts";
import { type Answer, Toolset } from "../../src/toolset/toolset.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "linkspan-test-path-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const words = { title: "t", description: "d", category: "system", time: "quick", example: { name: "a" } } as const;
const input = v.strictObject({ name: v.string(), list: v.optional(v.array(v.number()), []) });
const things = new Map<string, Planned>();
const removed: string[] = [];

const look = tool({
  ...words,
  name: "docker_look",
  level: "safe",
  input,
  output: output({ name: v.string(), list: v.array(v.string()) }),
  handle: async ({ name, list }) => ({ name, list: list.map((size) => "x".repeat(size)) }),
  text: ({ name, list }) => [name, ...list].join("\n"),
});
const change = tool({
  ...words,
  name: "docker_change",
  level: "moderate",
  input,
  output: output({}),
  handle: async () => ({}),
  text: () => "changed",
});
const destroy = tool({
  ...words,
  name: "docker_destroy",
  level: "destructive",
  input,
  output: output({ removed: v.string() }),
  plan: async ({ name }) => ({
    summary: `Remove ${name}.`,
    objects: [...things.values()].filter((one) => one.name === name),
  }),
  handle: async ({ name }) => {
    things.delete(name);
    removed.push(name);
    return { removed: name };
  },
  text: () => "removed",
});

function toolset(env: Record<string, string> = {}, tools: Tool[] = [look, change, destroy]): Toolset {
  const settings = { ...readSettings(env), dataDir: folder };
  return new Toolset(tools, settings, {});
}

function call(set: Toolset, name: string, args: Record<string, unknown> = {}): Promise<Answer> {
  return set.call(name, args, { who: "test 1", signal: new AbortController().signal, report: () => {} });
}

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof Fault) return thrown;
  throw new Error(`expected a fault, got ${String(thrown)}`);
}

const names = (set: Toolset) => set.list().map(({ name }) => name);

test("levels and lists decide what is listed and what may be called; deny wins; unknown is refused", async () => {
  expect(names(toolset())).toEqual(["docker_look", "docker_change"]);
  expect(names(toolset({ SAFETY_ALLOW_MODERATE_OPERATIONS: "false" }))).toEqual(["docker_look"]);
  expect(names(toolset({ SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true" }))).toHaveLength(3);
  expect(names(toolset({ SAFETY_ALLOWED_TOOLS: "docker_change" }))).toEqual(["docker_change"]);
  const both = { SAFETY_ALLOWED_TOOLS: '["docker_look","docker_change"]', SAFETY_DENIED_TOOLS: "docker_change" };
  expect(names(toolset(both))).toEqual(["docker_look"]);
  const odd: Tool = { ...look, level: JSON.parse('"none"') };
  expect(names(toolset({}, [odd]))).toEqual([]);

  const denied = await faultOf(call(toolset(), "docker_destroy", { name: "a" }));
  expect(denied.kind).toBe("forbidden");
  expect(denied.hint).toContain("SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS");
  const unknown = await faultOf(call(toolset(), "docker_lok", {}));
  expect([unknown.kind, unknown.hint]).toEqual(["not-found", "Did you mean docker_look?"]);
});

test("settings that are not understood are named", () => {
  expect(() => readSettings({ SAFETY_ALLOW_MODERATE_OPERATIONS: "maybe" })).toThrow("SAFETY_ALLOW_MODERATE_OPERATIONS");
  expect(() => readSettings({ SAFETY_DEFAULT_TOOL_TIMEOUT: "-1" })).toThrow("SAFETY_DEFAULT_TOOL_TIMEOUT");
  expect(() => readSettings({ SAFETY_VOLUME_MOUNT_ALLOWLIST: "data" })).toThrow("absolute");
});

test("input is parsed strictly, and the argument is named", async () => {
  const fault = await faultOf(call(toolset(), "docker_look", { nam: "a" }));
  expect(fault.kind).toBe("invalid");
  expect(fault.message).toContain("docker_look");
});

test("a destructive call asks first; the token holds for that call once, and for that plan", async () => {
  const set = toolset({ SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true" });
  const thing = (name: string, id: string) => things.set(name, { kind: "volume", id, name });
  thing("a", "1");
  thing("b", "1");
  const asked = async (args: Record<string, unknown>) => {
    const answer = await call(set, "docker_destroy", args);
    if (answer.kind !== "ask") throw new Error("it was done");
    // A token that is not for this call is told from none.
    expect(answer.again).toBe("confirmation_token" in args);
    return answer.token;
  };
  const token = await asked({ name: "a" });
  expect(removed).toEqual([]);
  // Another argument, and a token that nobody has given.
  const other = await asked({ name: "b", confirmation_token: token });
  await asked({ name: "a", confirmation_token: token });
  await asked({ name: "a", confirmation_token: "x" });
  // The plan has changed meanwhile: another volume of that name.
  thing("b", "2");
  const fresh = await asked({ name: "b", confirmation_token: other });
  const done = await call(set, "docker_destroy", { name: "b", confirmation_token: fresh });
  expect(done.kind).toBe("done");
  expect(removed).toEqual(["b"]);
  thing("b", "2");
  await asked({ name: "b", confirmation_token: fresh });
  expect(removed).toEqual(["b"]);

  const bold = toolset({
    SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true",
    SAFETY_REQUIRE_CONFIRMATION_FOR_DESTRUCTIVE: "false",
  });
  expect((await call(bold, "docker_destroy", { name: "a" })).kind).toBe("done");
});

test("a result stays within the bound and says what was left out", async () => {
  const set = toolset({ SAFETY_MAX_RESPONSE_BYTES: "4096" });
  const answer = await call(set, "docker_look", { name: "a", list: Array.from({ length: 100 }, () => 100) });
  if (answer.kind !== "done") throw new Error("not done");
  const { structured, text } = answer.outcome;
  expect(JSON.stringify(structured).length + JSON.stringify(text).length).toBeLessThanOrEqual(4096);
  expect(structured.truncated).toMatch(/^Left out: \d+ of list\. .*\(4096\)/);
  // Who only reads the text sees the same.
  expect(text.split("\n")).toEqual(["a", ...(structured.list as string[]), String(structured.truncated)]);
  expect(v.parse(look.output, structured)).toEqual(structured);
});

test("of one long item the text has the beginning and the end", async () => {
  const answer = await call(toolset({ SAFETY_MAX_RESPONSE_BYTES: "4096" }), "docker_look", {
    name: "a",
    list: [9_000],
  });
  if (answer.kind !== "done") throw new Error("not done");
  const { structured, text } = answer.outcome;
  expect(structured.list).toEqual([]);
  expect(text).toMatch(/^a\nx{1000,}\n\[Left out: \d+ characters\. [^\]]*\]\nx{1000,}$/);
  expect(JSON.stringify(structured).length + JSON.stringify(text).length).toBeLessThanOrEqual(4096);
});

test("a text within its room keeps its beginning and its end, whatever characters it has", () => {
  for (const character of ["x", "\u0001", "\u{1F600}", "\n"]) {
    const text = `first ${character.repeat(9_000)} last`;
    const clipped = clip(text, 1_024);
    expect(Buffer.byteLength(JSON.stringify(clipped))).toBeLessThanOrEqual(1_024);
    expect(clipped).toMatch(
      /^first [^]*\[Left out: \d+ characters\. Ask for less, or raise SAFETY_MAX_RESPONSE_BYTES \(1024\)\.\][^]* last$/,
    );
    expect(clipped.isWellFormed()).toBe(true);
  }
  expect(clip("short", 1_024)).toBe("short");
});

test("the audit log: who, what, the shape of the arguments, the decision; no values; 0600", async () => {
  const own = await mkdtemp(join(folder, "audit-"));
  const set = new Toolset([look, destroy], { ...readSettings({}), dataDir: own }, {});
  await call(set, "docker_look", { name: "box", list: [1, 2] });
  await faultOf(call(set, "docker_destroy", { name: "box" }));
  await faultOf(call(set, "docker_look", { name: 7, password: "hunter2" }));
  const file = join(own, "logs", "audit.jsonl");
  const text = await readFile(file, "utf8");
  const lines = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ decision }) => decision)).toEqual(["allowed", "denied", "refused"]);
  expect(lines[0]).toMatchObject({
    who: "test 1",
    tool: "docker_look",
    objects: { name: "box" },
    shape: { name: "string", list: { array: 2 } },
  });
  expect(text).not.toContain("hunter2");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});
