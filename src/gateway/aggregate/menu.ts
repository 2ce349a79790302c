/** What one client sees of all servers, and what is behind each name of it. Pure. */
import { exposedName, templateOf } from "./names.ts";
import { isWanted, mayCall, mayUse, type View } from "./filter.ts";
import type { Member } from "./member.ts";
import { idOf, type Item, type Kind, type Offer } from "./offer.ts";

/** What is known of one server. */
export interface Source {
  member: Member;
  offer: Offer | undefined;
  /** It was not asked just now. */
  stored: boolean;
  /** Why there is no offer. */
  reason: string | undefined;
  /** Tools that nobody has approved since they changed. */
  held: ReadonlySet<string>;
}

/** A name, or URI, and what it stands for. */
export interface Dish {
  member: Member;
  /** As its server calls it. */
  raw: string;
  item: Item;
}

export interface Menu {
  tools: ReadonlyMap<string, Dish>;
  prompts: ReadonlyMap<string, Dish>;
  resources: ReadonlyMap<string, Dish>;
  templates: ReadonlyMap<string, Dish>;
  /** Names that several tools, or prompts, would have, and whose; none of them is offered. */
  collisions: { tools: ReadonlyMap<string, string>; prompts: ReadonlyMap<string, string> };
  /** Tools that are held back, by their names. */
  held: ReadonlyMap<string, Dish>;
}

/** Schemas, icons and the like stay as they are; these mean nothing here. */
const NOT_OURS = ["execution"];

export function menuOf(sources: readonly Source[], view: View, scopes: readonly string[] | undefined): Menu {
  const collisions = { tools: new Map<string, string>(), prompts: new Map<string, string>() };
  const held = new Map<string, Dish>();
  return {
    tools: toolsOf(sources, view, scopes, held, collisions.tools),
    prompts: promptsOf(sources, view, scopes, collisions.prompts),
    resources: byUri(sources, "resources", scopes),
    templates: byUri(sources, "templates", scopes),
    collisions,
    held,
  };
}

function toolsOf(
  sources: readonly Source[],
  { tools: filter, plainNames }: View,
  scopes: readonly string[] | undefined,
  held: Map<string, Dish>,
  collisions: Map<string, string>,
): Map<string, Dish> {
  const tools = new Map<string, Dish>();
  for (const { member, offer, held: notApproved } of sources) {
    for (const tool of offer?.tools ?? []) {
      const raw = idOf("tools", tool);
      // Filters and scopes go by this one, whatever the client sees.
      const whole = exposedName(member.prefix, raw);
      if (!isWanted(whole, filter) || !mayCall(member, whole, scopes)) continue;
      const name = own(filter.rename, whole) ?? (plainNames ? exposedName(undefined, raw) : whole);
      const described = own(filter.describe, whole);
      const item = { ...without(tool, NOT_OURS), name, ...(described === undefined ? {} : { description: described }) };
      const dish = { member, raw, item };
      if (notApproved.has(raw)) held.set(name, dish);
      else add(tools, name, dish, collisions);
    }
  }
  return tools;
}

function promptsOf(
  sources: readonly Source[],
  { plainNames }: View,
  scopes: readonly string[] | undefined,
  collisions: Map<string, string>,
): Map<string, Dish> {
  const prompts = new Map<string, Dish>();
  for (const { member, offer } of sources) {
    if (!mayUse(member, scopes)) continue;
    for (const prompt of offer?.prompts ?? []) {
      const raw = idOf("prompts", prompt);
      const name = exposedName(plainNames ? undefined : member.prefix, raw);
      add(prompts, name, { member, raw, item: { ...prompt, name } }, collisions);
    }
  }
  return prompts;
}

/** A URI is what it is, so it stays; where several servers have it, it is the first one's. */
function byUri(
  sources: readonly Source[],
  kind: "resources" | "templates",
  scopes: readonly string[] | undefined,
): Map<string, Dish> {
  const found = new Map<string, Dish>();
  for (const { member, offer } of sources) {
    if (!mayUse(member, scopes)) continue;
    for (const item of offer?.[kind] ?? []) {
      const raw = idOf(kind, item);
      if (!found.has(raw)) found.set(raw, { member, raw, item });
    }
  }
  return found;
}

/** Neither of two that have one name: nobody could say which one is meant, and one could stand in for the other. */
function add(into: Map<string, Dish>, name: string, dish: Dish, collisions: Map<string, string>): void {
  const other = into.get(name);
  const before = collisions.get(name) ?? (other && whose(other));
  if (before === undefined) return void into.set(name, dish);
  into.delete(name);
  collisions.set(name, `${before} and ${whose(dish)}`);
}

function whose({ member, raw }: Dish): string {
  return `${JSON.stringify(raw)} of ${member.name}`;
}

function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function without(item: Item, fields: readonly string[]): Item {
  return Object.fromEntries(Object.entries(item).filter(([key]) => !fields.includes(key)));
}

/** Whose resource this is: the one who lists it, else the one whose template says most of it. */
export function ownerOf(uri: string, { resources, templates }: Menu): Member | undefined {
  const listed = resources.get(uri) ?? templates.get(uri);
  if (listed) return listed.member;
  const known = [...templates].map(([template, { member }]) => ({ template, member }));
  return templateOf(uri, known)?.member;
}

/** In the order of the servers. */
export function itemsOf(menu: Menu, kind: Kind): Item[] {
  return [...menu[kind].values()].map(({ item }) => item);
}
