/** Setting a client up, and taking that back: read, change one entry, check, write. */
import { Fault } from "../../base/fault.ts";
import {
  backupsOf,
  fingerprint,
  type Found,
  readBackup,
  readFound,
  replaceFound,
  restoreFound,
} from "../edit/careful.ts";
import { type Editor, entryIn, isData, putEntry, type Slot, takeEntry, withoutEmpty } from "../edit/editor.ts";
import { JSON_EDITOR } from "../edit/json.ts";
import { TOML_EDITOR } from "../edit/toml.ts";
import { YAML_EDITOR } from "../edit/yaml.ts";
import { isOurs, merged } from "./launch.ts";
import type { Client, Launch } from "./table.ts";

export const EDITORS: Record<Client["format"], Editor> = { json: JSON_EDITOR, toml: TOML_EDITOR, yaml: YAML_EDITOR };

export interface Outcome {
  file: string;
  changed: boolean;
  /** What was there before, when something was changed. */
  backup?: string;
}

export type State = "absent" | "ours" | "other";

/** Faults: `conflict` (an entry of that name is somebody else's), and those of reading, editing and writing. */
export async function setUp(client: Client, file: string, launch: Launch): Promise<Outcome> {
  const { found, data, slot, editor } = await look(client, file, launch.name);
  const before = entryIn(data, slot, file);
  if (before !== undefined && !isOurs(before)) throw somebodyElses(client, file, launch.name);
  const entry = merged(withoutName(before, slot), client.entry(launch));
  if (Bun.deepEquals(withoutName(before, slot), entry)) return { file: found.path, changed: false };
  const text = putEntry(editor, startingText(client, found), slot, entry, file);
  return { file: found.path, changed: true, backup: await replaceFound(found, text) };
}

/** Nothing to remove is no fault. */
export async function takeBack(client: Client, file: string, name: string): Promise<Outcome> {
  const { found, data, slot, editor } = await look(client, file, name);
  const entry = entryIn(data, slot, file);
  if (entry === undefined || found.text === undefined) return { file: found.path, changed: false };
  if (!isOurs(entry)) throw somebodyElses(client, file, name);
  const original = await originalOf(client, found, slot, editor);
  const text = original ? original.text : takeEntry(editor, found.text, slot, file);
  return { file: found.path, changed: true, backup: await replaceFound(found, text) };
}

/** The file as it was before the last change of ours. Fault `conflict` where others have changed it since, unless forced. */
export async function undo(file: string, force: boolean): Promise<Outcome> {
  const found = await readFound(file);
  const [last] = await backupsOf(found.path);
  if (!last) throw new Fault("not-found", `there is no backup of ${file}`, { hint: "Nothing was changed." });
  if (last.written !== fingerprint(found.text) && !force) {
    throw new Fault("conflict", `${file} has been changed since`, {
      hint: `linkspan client remove takes out our entry alone. --force restores ${last.path} all the same.`,
    });
  }
  await restoreFound(found, last);
  return { file: found.path, changed: true };
}

export async function stateOf(client: Client, file: string, name: string): Promise<State> {
  const { data, slot } = await look(client, file, name);
  const entry = entryIn(data, slot, file);
  return entry === undefined ? "absent" : isOurs(entry) ? "ours" : "other";
}

/** What a file of the client's would be that has nothing but the entry. */
export function printed(client: Client, launch: Launch): string {
  const slot = slotOf(client, undefined, launch.name);
  return putEntry(EDITORS[client.format], "", slot, client.entry(launch), "");
}

async function look(client: Client, file: string, name: string) {
  const editor = EDITORS[client.format];
  const found = await readFound(file);
  const data = editor.read(found.text ?? "", file);
  return { found, data, editor, slot: slotOf(client, data, name) };
}

function slotOf(client: Client, data: unknown, name: string): Slot {
  const newer = client.newerKeys?.reduce<unknown>((here, key) => (isData(here) ? here[key] : undefined), data);
  const keys = isData(newer) && client.newerKeys ? client.newerKeys : client.keys;
  return { keys, name, ...(client.list ? { list: true } : {}) };
}

/** In a list the name is part of the item; the editor adds it. */
function withoutName(entry: unknown, slot: Slot): unknown {
  if (!slot.list || !isData(entry)) return entry;
  const { name: _, ...rest } = entry;
  return rest;
}

function startingText(client: Client, { text }: Found): string {
  return text === undefined || text.trim() === "" ? (client.fresh ?? text ?? "") : text;
}

/**
 * What was there before, to the byte, if nobody has changed the file since: some things, such as the space in an empty
 * `{ }`, cannot be told from the text that was made of it.
 */
async function originalOf(
  client: Client,
  found: Found,
  slot: Slot,
  editor: Editor,
): Promise<{ text?: string } | undefined> {
  const current = fingerprint(found.text);
  const backup = (await backupsOf(found.path)).find((one) => one.written === current);
  if (!backup) return undefined;
  if (backup.absent) return onlyOurs(client, found, slot, editor) ? {} : undefined;
  const text = await readBackup(backup);
  const isFree = entryIn(editor.read(text, backup.path), slot, backup.path) === undefined;
  return isFree ? { text } : undefined;
}

function onlyOurs(client: Client, { text = "" }: Found, slot: Slot, editor: Editor): boolean {
  const left = editor.read(takeEntry(editor, text, slot, ""), "");
  const fresh = editor.read(client.fresh ?? "", "");
  return Bun.deepEquals(withoutEmpty(left, slot.keys), withoutEmpty(fresh, slot.keys));
}

function somebodyElses(client: Client, file: string, name: string): Fault {
  return new Fault("conflict", `${file} has an entry ${JSON.stringify(name)} that is not Linkspan's`, {
    hint: `Nothing was changed. linkspan client setup ${client.id} --as OTHER uses another name.`,
  });
}
