/**
 * One entry put into, or taken out of, a configuration that somebody else owns: a few characters of its text change, all
 * others stay. Each format has an editor; what an editor made is read again and compared with what was meant, so that a
 * layout which it does not understand is refused instead of damaged.
 */
import { Fault } from "../../base/fault.ts";

/** Where an entry is: in the mapping under `keys`, or in the list there whose items have a `name`. */
export interface Slot {
  keys: readonly string[];
  name: string;
  list?: boolean;
}

export type Data = Record<string, unknown>;

export interface Editor {
  /** What the text says; undefined where it says nothing. Fault `invalid` with line and column. */
  read(text: string, file: string): unknown;
  /** The text with the entry; one that is there already must have been taken out. */
  put(text: string, slot: Slot, value: Data): string;
  /** The text without the entry, which is there. */
  take(text: string, slot: Slot): string;
}

export function isData(value: unknown): value is Data {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The entry as the file has it, undefined where it has none. Fault `invalid` where something else is in its place. */
export function entryIn(data: unknown, slot: Slot, file: string): unknown {
  const container = containerIn(data, slot, file);
  if (Array.isArray(container)) return container.find((item) => isData(item) && item.name === slot.name);
  return isData(container) && Object.hasOwn(container, slot.name) ? container[slot.name] : undefined;
}

/** The mapping or list that entries are in. */
export function containerIn(data: unknown, slot: Slot, file: string): unknown {
  let here = data;
  for (const key of ["", ...slot.keys]) {
    if (key !== "") here = isData(here) && Object.hasOwn(here, key) ? here[key] : undefined;
    if (here === undefined || here === null) return undefined;
    const wanted = slot.list && key === slot.keys.at(-1) ? Array.isArray(here) : isData(here);
    if (!wanted) {
      const what = key === "" ? "it" : `"${key}"`;
      throw new Fault("invalid", `${file}: ${what} is not what this client expects there`, {
        hint: "Nothing was changed. Mend the file first.",
      });
    }
  }
  return here;
}

/** Fault `unsupported` where the result would not be exactly what is meant. */
export function putEntry(editor: Editor, text: string, slot: Slot, value: Data, file: string): string {
  const before = editor.read(text, file);
  const cleared = entryIn(before, slot, file) === undefined ? text : takeEntry(editor, text, slot, file);
  const result = attempt(() => editor.put(cleared, slot, value), file);
  const expected = withEntry(editor.read(cleared, file), slot, value);
  if (!Bun.deepEquals(reread(editor, result, file), expected)) throw unsafe(file);
  return result;
}

/** The same for taking out. What is left empty by it stays, except where the format has no empty one. */
export function takeEntry(editor: Editor, text: string, slot: Slot, file: string): string {
  const before = editor.read(text, file);
  if (entryIn(before, slot, file) === undefined) return text;
  const result = attempt(() => editor.take(text, slot), file);
  const expected = withoutEmpty(withoutEntry(before, slot), slot.keys);
  if (!Bun.deepEquals(withoutEmpty(reread(editor, result, file), slot.keys), expected)) throw unsafe(file);
  return result;
}

function attempt(edit: () => string, file: string): string {
  try {
    return edit();
  } catch (thrown) {
    throw thrown instanceof Fault ? thrown : unsafe(file, thrown);
  }
}

function reread(editor: Editor, text: string, file: string): unknown {
  try {
    return editor.read(text, file);
  } catch (cause) {
    throw unsafe(file, cause);
  }
}

function unsafe(file: string, cause?: unknown): Fault {
  return new Fault("unsupported", `${file} is laid out in a way that cannot be edited safely`, {
    cause,
    hint: "Nothing was changed. linkspan client print NAME shows what to write by hand.",
  });
}

function withEntry(data: unknown, slot: Slot, value: Data, [key, ...rest]: readonly string[] = slot.keys): unknown {
  const here = isData(data) ? data : {};
  if (key !== undefined) return { ...here, [key]: withEntry(here[key], slot, value, rest) };
  if (slot.list) return [...(Array.isArray(data) ? data : []), { name: slot.name, ...value }];
  return { ...here, [slot.name]: value };
}

function withoutEntry(data: unknown, slot: Slot, [key, ...rest]: readonly string[] = slot.keys): unknown {
  if (Array.isArray(data)) return data.filter((item) => !isData(item) || item.name !== slot.name);
  if (!isData(data)) return data;
  if (key !== undefined) return { ...data, [key]: withoutEntry(data[key], slot, rest) };
  return Object.fromEntries(Object.entries(data).filter(([name]) => name !== slot.name));
}

/** Without the containers at those keys that hold nothing: an empty one says the same as none. */
export function withoutEmpty(data: unknown, [key, ...rest]: readonly string[]): unknown {
  if (!isData(data)) return data === null || data === undefined ? {} : data;
  if (key === undefined) return data;
  const inner = withoutEmpty(data[key], rest);
  const { [key]: _, ...others } = data;
  const isEmpty = Array.isArray(inner) ? inner.length === 0 : isData(inner) && Object.keys(inner).length === 0;
  return isEmpty ? others : { ...others, [key]: inner };
}

/** `FILE:LINE:COLUMN: WHAT`, line and column counted from 1. */
export function broken(file: string, text: string, offset: number, what: string): Fault {
  const before = text.slice(0, offset).split("\n");
  const at = `${file}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
  return new Fault("invalid", `${at}: ${what}`, { hint: "Nothing was changed. Mend the file first." });
}
