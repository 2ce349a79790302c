/** Two tools instead of many: one that finds the others by words, one that calls what was found. */
import MiniSearch from "minisearch";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import type { Item } from "./offer.ts";

export const FIND = "find_tools";
export const CALL = "call_tool";
/** `auto`: longer lists are searched. Of their JSON; some 10,000 tokens. */
export const LIST_CHARS_MAX = 40_000;
const HITS = 5;
const HITS_MAX = 20;
const QUERY_CHARS_MAX = 1_000;

const query = v.strictObject({
  query: v.pipe(v.string(), v.maxLength(QUERY_CHARS_MAX)),
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(HITS_MAX)), HITS),
});
/** As it is: a record of valibot's would leave out members called `constructor`. */
const given = v.custom<Record<string, unknown>>(isRecord, "expected an object");
const call = v.strictObject({ name: v.string(), arguments: v.optional(given, {}) });

/** What is listed instead of the tools. `servers`: what the tools are about, for who has to decide to look. */
export function searchTools(servers: readonly string[], count: number): Item[] {
  const about = servers.length > 0 ? ` (${servers.slice(0, 40).join(", ")}${servers.length > 40 ? ", …" : ""})` : "";
  return [
    {
      name: FIND,
      title: "Find tools",
      description: `Finds tools by what they do, among ${count} of these servers${about}. Answers with names, descriptions and input schemas; call one with ${CALL}.`,
      inputSchema: {
        type: "object",
        properties: {
          query: {
            type: "string",
            description: "Words that say what is to be done; a server's or a tool's name also works",
          },
          limit: { type: "integer", minimum: 1, maximum: HITS_MAX, default: HITS },
        },
        required: ["query"],
      },
      annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
    },
    {
      name: CALL,
      title: "Call a tool",
      description: `Calls a tool that ${FIND} has found, with arguments as its input schema says.`,
      inputSchema: {
        type: "object",
        properties: { name: { type: "string" }, arguments: { type: "object" } },
        required: ["name"],
      },
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
    },
  ];
}

/** The best ones first. Faults: `invalid`. */
export function findTools(tools: readonly Item[], args: unknown): Item[] {
  const asked = parse(query, args, FIND);
  const index = new MiniSearch<{ id: number; name: string; title: string; description: string; fields: string }>({
    fields: ["name", "title", "description", "fields"],
    // `files__read_file` and `readFile` are several words.
    tokenize: (text) => text.replace(/([a-z0-9])([A-Z])/g, "$1 $2").split(/[^\p{L}\p{N}]+/u),
    searchOptions: {
      boost: { name: 3, title: 2 },
      prefix: (term) => term.length > 2,
      fuzzy: (term) => (term.length > 4 ? 0.2 : false),
    },
  });
  index.addAll(tools.map((tool, id) => ({ id, ...wordsOf(tool) })));
  return index
    .search(asked.query)
    .slice(0, asked.limit)
    .flatMap(({ id }) => shown(tools[Number(id)]));
}

/** The call that `call_tool` stands for. Faults: `invalid`. */
export function calledTool(args: unknown): { name: string; arguments: Record<string, unknown> } {
  return parse(call, args, CALL);
}

function parse<S extends v.GenericSchema>(schema: S, args: unknown, tool: string): v.InferOutput<S> {
  const parsed = v.safeParse(schema, args ?? {});
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Fault(
    "invalid",
    `the input of ${tool} is not valid at ${v.getDotPath(issue) ?? "its top"}: ${issue.message}`,
  );
}

function wordsOf({ name, title, description, inputSchema }: Item) {
  const properties = v.safeParse(v.object({ properties: v.record(v.string(), v.unknown()) }), inputSchema);
  const fields = properties.success ? Object.keys(properties.output.properties).join(" ") : "";
  return { name: String(name), title: textOf(title), description: textOf(description), fields };
}

/** What a model needs to call it. */
function shown(tool: Item | undefined): Item[] {
  if (!tool) return [];
  const { name, description, inputSchema } = tool;
  return [{ name, ...(description === undefined ? {} : { description }), inputSchema }];
}

function isRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
