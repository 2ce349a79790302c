/** What a server offers: its description and its whole lists, as it says them. */
import * as v from "valibot";
import { Deadline } from "../../base/deadline.ts";
import { isTooDeep } from "../../base/depth.ts";
import { Fault } from "../../base/fault.ts";
import {
  type Attachment,
  type Client,
  type Description,
  type Filter,
  type Json,
  type Params,
  RpcFault,
} from "../exchange.ts";

/** Of one list of one server; what comes after is left out. */
const PAGES_MAX = 100;
const ITEMS_MAX = 2_000;
const CHARS_MAX = 4 * 1024 * 1024;
const ID_CHARS_MAX = 2_048;
const METHOD_NOT_FOUND = -32601;

interface Listing {
  method: string;
  /** Of the result. */
  field: string;
  /** What an item is known by. */
  id: "name" | "uri" | "uriTemplate";
  capability: string;
  /** Which notification says that it has changed, and how a listener asks for that. */
  changed: string;
  filter: "toolsListChanged" | "promptsListChanged" | "resourcesListChanged";
}

const resources = {
  capability: "resources",
  changed: "notifications/resources/list_changed",
  filter: "resourcesListChanged",
} as const;

export const LISTINGS = {
  tools: {
    method: "tools/list",
    field: "tools",
    id: "name",
    capability: "tools",
    changed: "notifications/tools/list_changed",
    filter: "toolsListChanged",
  },
  prompts: {
    method: "prompts/list",
    field: "prompts",
    id: "name",
    capability: "prompts",
    changed: "notifications/prompts/list_changed",
    filter: "promptsListChanged",
  },
  resources: { method: "resources/list", field: "resources", id: "uri", ...resources },
  templates: { method: "resources/templates/list", field: "resourceTemplates", id: "uriTemplate", ...resources },
} as const satisfies Record<string, Listing>;

export type Kind = keyof typeof LISTINGS;
export const KINDS = ["tools", "prompts", "resources", "templates"] as const satisfies Kind[];
/** All notifications about lists. */
export const ALL_CHANGES = {
  toolsListChanged: true,
  promptsListChanged: true,
  resourcesListChanged: true,
} satisfies Filter;

const item = v.record(v.string(), v.unknown());
/** A tool, prompt, resource or template, as its server describes it. */
export type Item = v.InferOutput<typeof item>;

const description = v.pipe(
  v.object({
    era: v.picklist(["legacy", "modern"]),
    serverInfo: v.record(v.string(), v.unknown()),
    capabilities: v.record(v.string(), v.unknown()),
    instructions: v.optional(v.string()),
  }),
  v.transform((found): Description => ({ ...found, instructions: found.instructions })),
);
const list = v.array(item);
export const offer = v.object({ description, tools: list, prompts: list, resources: list, templates: list });
export interface Offer extends Record<Kind, Item[]> {
  description: Description;
}

/**
 * Everything, in whatever order the answers come. Without its tools a server has told nothing; a list of others that it
 * cannot give is an empty one. Rejects with a `Fault` or an `RpcFault`.
 */
export async function surveyed(attachment: Attachment, capabilities: Params, deadline: Deadline): Promise<Offer> {
  const found = await attachment.describe(deadline);
  const ask = (kind: Kind) => listed(attachment, kind, found, capabilities, deadline);
  const orNone = (kind: Kind) => ask(kind).catch((): Item[] => []);
  const [tools, prompts, resourceList, templates] = await Promise.all([
    ask("tools"),
    orNone("prompts"),
    orNone("resources"),
    orNone("templates"),
  ]);
  return { description: found, tools, prompts, resources: resourceList, templates };
}

/** One whole list. Rejects with a `Fault` or an `RpcFault`. */
export async function listed(
  attachment: Attachment,
  kind: Kind,
  { capabilities: offered }: Pick<Description, "capabilities">,
  capabilities: Params,
  deadline: Deadline,
): Promise<Item[]> {
  const { method, capability } = LISTINGS[kind];
  if (offered[capability] === undefined) return [];
  const items = new Map<string, Item>();
  let chars = 0;
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const params = cursor === undefined ? {} : { cursor };
    const answer = await asked(attachment, method, params, capabilities, deadline);
    if (!answer) return [];
    chars += answer.text.length;
    if (chars > CHARS_MAX) break;
    const found = pageOf(kind, answer);
    if (!found) throw new Fault("server-failed", `the answer to ${method} is no list`);
    for (const one of found.items) {
      const id = idOf(kind, one);
      if (!items.has(id) && items.size < ITEMS_MAX) items.set(id, one);
    }
    cursor = found.nextCursor;
    if (cursor === undefined || items.size >= ITEMS_MAX) break;
  }
  return [...items.values()];
}

/** A part of a list. Of two with one name the first counts: the server itself could not tell them apart. */
export function pageOf(kind: Kind, answer: Json): { items: Item[]; nextCursor: string | undefined } | undefined {
  const { field, id } = LISTINGS[kind];
  const read = v.safeParse(
    v.object({ [field]: v.array(v.unknown()), nextCursor: v.optional(v.unknown()) }),
    answer.value,
  );
  if (!read.success) return undefined;
  const items = new Map<string, Item>();
  for (const one of arrayOf(read.output[field])) {
    const known = itemId(one, id);
    if (known !== undefined && !items.has(known.id)) items.set(known.id, known.item);
  }
  const { nextCursor } = read.output;
  return { items: [...items.values()], nextCursor: typeof nextCursor === "string" ? nextCursor : undefined };
}

/** Undefined where the server does not know the method after all. */
async function asked(attachment: Attachment, method: string, params: Params, capabilities: Params, deadline: Deadline) {
  const signal = deadline.signal;
  const reply = await deadline.race(
    method,
    attachment.request({ method, params, signal, capabilities, rounds: false }),
  );
  if (reply.kind === "result") return reply.result;
  if (reply.kind === "input-required") throw new Fault("server-failed", `${method} wants an answer first`);
  if (reply.error.code === METHOD_NOT_FOUND) return undefined;
  throw new RpcFault(reply.error);
}

function itemId(one: unknown, id: Listing["id"]): { id: string; item: Item } | undefined {
  const parsed = v.safeParse(item, one);
  const value = parsed.success ? parsed.output[id] : undefined;
  if (!parsed.success || typeof value !== "string" || value === "" || value.length > ID_CHARS_MAX) return undefined;
  // Nobody could look for what is hidden in it.
  if (isTooDeep(one)) return undefined;
  return { id: value, item: parsed.output };
}

function arrayOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** What went wrong, whoever says it. */
export function faultOf(error: unknown): Fault {
  return error instanceof RpcFault ? new Fault("server-failed", error.message) : Fault.from(error);
}

export function idOf(kind: Kind, one: Item): string {
  const value = one[LISTINGS[kind].id];
  return typeof value === "string" ? value : "";
}

/** Servers offer different things to clients of different abilities; by this they are told apart. */
export function profileOf({ era, capabilities }: Pick<Client, "era" | "capabilities">): string {
  const able = ["sampling", "elicitation", "roots"].filter((name) => capabilities[name] !== undefined);
  return [era, ...able].join("+");
}
