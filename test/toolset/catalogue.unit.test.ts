/** The catalogue as a whole: names, levels, words, plans, sizes, and what is generated from it. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import * as v from "valibot";
import { ALL_TOOLS, DOCKER_TOOLS } from "../../src/toolset/catalogue.ts";
import { actionOf, compactList } from "../../src/toolset/compact.ts";
import { SERVER_TOOLS } from "../../src/toolset/servers/tools.ts";
import { describe } from "../../src/toolset/describe.ts";
import { PROOFS } from "../support/proofs.ts";
import { GOLDEN, golden, REFERENCE, tokens, toolsReference } from "../support/tools-reference.ts";

test("names are unique, plain and say docker", () => {
  const names = ALL_TOOLS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name } of DOCKER_TOOLS) expect(name).toMatch(/^docker_[a-z]+(_[a-z]+)*$/);
});

test.each(ALL_TOOLS.map((tool) => [tool.name, tool] as const))(
  "%s: words, a plan where it destroys, an example that fits",
  (_, tool) => {
    expect(tool.description.length).toBeGreaterThan(30);
    expect(tool.description).toEndWith(".");
    expect(tool.hasPlan).toBe(tool.level === "destructive");
    expect(() => tool.bind(tool.example)).not.toThrow();
    // Nothing that the schema does not name goes through.
    expect(() => tool.bind({ ...tool.example, privileged_mode: true })).toThrow();
    const { inputSchema, outputSchema } = describe(tool);
    expect(inputSchema.additionalProperties).toBe(false);
    expect(Object.keys(outputSchema.properties).length).toBeGreaterThan(0);
  },
);

test.each(ALL_TOOLS.map((tool) => [tool.name, tool] as const))(
  "%s: what is said of an argument reaches the client",
  (_, tool) => {
    const { properties } = describe(tool).inputSchema as { properties: Record<string, { description?: string }> };
    const { entries } = tool.input as unknown as {
      entries: Record<string, v.GenericSchema & { wrapped?: v.GenericSchema }>;
    };
    for (const [name, entry] of Object.entries(entries)) {
      const said = v.getDescription(entry) ?? v.getDescription(entry.wrapped ?? entry);
      expect([name, properties[name]?.description]).toEqual([name, said]);
    }
  },
);

test("every tool is shown at work, with what is absent, and with what it refuses; those about servers in servers.test.ts", async () => {
  const servers = new Set(SERVER_TOOLS.map(({ name }) => name));
  const others = ALL_TOOLS.filter(({ name }) => !servers.has(name));
  expect(Object.keys(PROOFS).toSorted()).toEqual(others.map(({ name }) => name).toSorted());
  for (const file of new Set(Object.values(PROOFS).map(({ does }) => does)))
    expect([file, await Bun.file(join(import.meta.dir, `${file}.test.ts`)).text()]).toEqual([
      file,
      expect.stringContaining("expectWorked(import.meta.path)"),
    ]);
  const run = await Bun.file(join(import.meta.dir, "every-tool.test.ts")).text();
  expect(run).toContain("refusals(session, ENGINE_PROOFS)");
  for (const tool of others) {
    const { absent } = PROOFS[tool.name] ?? { absent: "" };
    // What is absent is well-formed; and where nothing could be, it is said why.
    if (typeof absent === "string") expect([tool.name, absent]).toEqual([tool.name, expect.stringMatching(/ .* /)]);
    else expect(() => tool.bind(absent)).not.toThrow();
  }
});

test.each(ALL_TOOLS.map((tool) => [tool.name, tool] as const))(
  "%s is as its golden file (bun test/support/tools-reference.ts writes it)",
  async (name, tool) => {
    expect(JSON.parse(golden(tool))).toEqual(await Bun.file(join(GOLDEN, `${name}.json`)).json());
  },
);

test("docs/tools.md is made from the tools (bun test/support/tools-reference.ts writes it)", async () => {
  expect(await Bun.file(REFERENCE).text()).toBe(toolsReference());
});

test("the compact form stays small, with all toolsets at once", () => {
  expect(tokens("docker,servers,create").compact).toBeLessThan(1_500);
  expect(tokens("docker,servers,create").found).toBeLessThan(500);
});

test("in the compact form each action means one tool", () => {
  const actions = ALL_TOOLS.map(actionOf);
  expect(new Set(actions).size).toBe(actions.length);
  const names = compactList(ALL_TOOLS).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
