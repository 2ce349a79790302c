/** docs/tools.md and the golden files, from the tools themselves: `bun test/support/tools-reference.ts` writes them. */
import { encode } from "gpt-tokenizer";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ALL_TOOLS, toolsOf } from "../../src/toolset/catalogue.ts";
import type { Item } from "../../src/gateway/aggregate/offer.ts";
import { searchTools } from "../../src/gateway/aggregate/search.ts";
import { compactList } from "../../src/toolset/compact.ts";
import { describe } from "../../src/toolset/describe.ts";
import type { Category, Tool } from "../../src/toolset/tool.ts";
import { rulesText } from "./engine-rules.ts";

const ROOT = join(import.meta.dir, "../..");
export const REFERENCE = join(ROOT, "docs/tools.md");
const SAFETY = join(ROOT, "docs/safety.md");
export const GOLDEN = join(ROOT, "test/golden/tools");

const INTRODUCTION = `# Tools

\`linkspan mcp --toolset docker\` serves these tools to an MCP client; \`linkspan mcp --toolset docker,compact\` the same ones
in a form for small context windows: one tool for each category, with the action as an argument. [Safety](safety.md) says
who may call what. \`--toolset servers\` serves those about [MCP servers](server-tools.md), \`--toolset create\` those about
[created servers](created-servers.md), and \`docker,servers,create\` all of them. This page is made from the tools themselves; tests call
each of the Docker tools and of those about servers with its example.`;

/** Tokens of the list as a model's context gets it (o200k). */
export function tokensOf(list: unknown): number {
  return encode(JSON.stringify(list)).length;
}

/** What models are given of a tool. */
function shown(tool: { name: string; description?: string | undefined; inputSchema: unknown }) {
  return { name: tool.name, description: tool.description, inputSchema: tool.inputSchema };
}

function toolOf({ name, description, inputSchema }: Item) {
  return { name: String(name), description: String(description), inputSchema };
}

/** What `--toolset` may say, and what each costs. */
const FORMS = ["docker", "servers", "create", "docker,servers", "docker,servers,create"];

export function tokens(form: string) {
  const tools = toolsOf(form.split(","));
  const full = tools.map((tool) => shown(describe(tool)));
  const found = searchTools(form.split(","), tools.length).map(toolOf).map(shown);
  const compact = tokensOf(compactList(tools).map(shown));
  return { count: tools.length, full: tokensOf(full), compact, found: tokensOf(found) };
}

function sizes(): string {
  const rows = FORMS.map((form) => {
    const { count, full, compact, found } = tokens(form);
    return [`\`${form}\``, String(count), String(full), String(compact), String(found)];
  });
  return [
    "What the list of tools takes of a model's context: tokens of names, descriptions and input schemas (o200k).",
    "`findTools` is an option of [the gateway](gateway.md#many-tools), for all tools of all servers.",
    "",
    ...table([["toolset", "tools", "tokens", "with `compact`", "with `findTools`"], ...rows]),
  ].join("\n");
}

/** As the formatter writes it; all columns but the first are figures. */
function table(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), rule, ...body.map(line)];
}

export function toolsReference(): string {
  const categories = Map.groupBy(ALL_TOOLS, ({ category }) => category);
  return `${[INTRODUCTION, sizes(), ...[...categories].map(section)].join("\n\n")}\n`;
}

function section([category, tools]: [Category, Tool[]]): string {
  return [`## ${category[0]?.toUpperCase()}${category.slice(1)}`, ...tools.map(entry)].join("\n\n");
}

function entry(tool: Tool): string {
  const { inputSchema } = describe(tool);
  const required = new Set(Array.isArray(inputSchema.required) ? inputSchema.required : []);
  const rows = Object.entries(inputSchema.properties).map(
    ([name, schema]) => `- \`${name}\`${required.has(name) ? " (required)" : ""}${words(schema)}`,
  );
  const example = `\`\`\`\n${JSON.stringify({ name: tool.name, arguments: tool.example })}\n\`\`\``;
  return [
    `### ${tool.name}`,
    `${tool.title} · **${tool.level}**`,
    tool.description,
    ...(rows.length > 0 ? [rows.join("\n")] : []),
    example,
  ].join("\n\n");
}

function words(schema: unknown): string {
  if (typeof schema !== "object" || schema === null) return "";
  const parts: string[] = [];
  if ("description" in schema && typeof schema.description === "string") parts.push(schema.description);
  if ("enum" in schema && Array.isArray(schema.enum)) parts.push(`one of ${schema.enum.join(", ")}`);
  if ("default" in schema && schema.default !== "" && !isEmpty(schema.default))
    parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.length > 0 ? `: ${parts.join("; ")}` : "";
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/** docs/safety.md with the list for a proxy of the engine's socket in its place. */
export function withRules(page: string): string {
  return page.replace(
    /(?<=<!-- engine-rules -->\n\n```text\n)[\s\S]*?(?=\n```\n)/,
    rulesText().replaceAll("$", "$$$$"),
  );
}

export function golden(tool: Tool): string {
  return `${JSON.stringify(describe(tool), null, 2)}\n`;
}

if (import.meta.main) {
  await Bun.write(REFERENCE, toolsReference());
  await Bun.write(SAFETY, withRules(await Bun.file(SAFETY).text()));
  await mkdir(GOLDEN, { recursive: true });
  const names = new Set(ALL_TOOLS.map(({ name }) => `${name}.json`));
  for (const file of await readdir(GOLDEN)) if (!names.has(file)) await rm(join(GOLDEN, file));
  for (const tool of ALL_TOOLS) await Bun.write(join(GOLDEN, `${tool.name}.json`), golden(tool));
}
