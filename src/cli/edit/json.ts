/** JSON with comments and trailing commas, as editors and many clients take it. Offsets are jsonc-parser's. */
import { type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import { broken, type Data, type Editor, isData, type Slot } from "./editor.ts";

const BOM = "\uFEFF";

export const JSON_EDITOR: Editor = {
  read: (text, file) => valueOf(tree(text, file), file, text),
  put(text, slot, value) {
    if (text.startsWith(BOM)) return BOM + this.put(text.slice(1), slot, value);
    const root = tree(text, "");
    const style = styleOf(text);
    if (!root) return `${text}${text && !text.endsWith("\n") ? style.eol : ""}${fresh(slot, value, style)}`;
    let here = root;
    for (const [depth, key] of slot.keys.entries()) {
      const next = property(here, key)?.children?.[1];
      if (!next) {
        const inner = slot.keys.slice(depth + 1).reduceRight<unknown>((all, name) => ({ [name]: all }), {
          [slot.name]: value,
        });
        return insert(text, here, key, inner, style);
      }
      here = next;
    }
    return insert(text, here, slot.name, value, style);
  },
  take(text, slot) {
    if (text.startsWith(BOM)) return BOM + this.take(text.slice(1), slot);
    let here = tree(text, "");
    for (const key of slot.keys) here = property(here, key)?.children?.[1];
    const found = property(here, slot.name);
    // What it leaves empty stays: there are clients that want the key.
    return here && found ? remove(text, here, found) : text;
  },
};

interface Style {
  unit: string;
  eol: string;
}

function tree(text: string, file: string): Node | undefined {
  const body = text.startsWith(BOM) ? text.slice(1) : text;
  const errors: ParseError[] = [];
  const root = parseTree(body, errors, { allowTrailingComma: true, allowEmptyContent: true });
  const [first] = errors;
  if (first) throw broken(file, body, first.offset, words(printParseErrorCode(first.error)));
  return root;
}

/** `CommaExpected` → `comma expected`. */
function words(code: string): string {
  return code.replace(/(?!^)[A-Z]/g, (letter) => ` ${letter}`).toLowerCase();
}

/** jsonc-parser's own takes the last of two equal keys and has `__proto__` set prototypes. */
function valueOf(node: Node | undefined, file: string, text: string): unknown {
  if (!node) return undefined;
  if (node.type === "array") return (node.children ?? []).map((child) => valueOf(child, file, text));
  if (node.type !== "object") return node.value;
  const entries = new Map<string, unknown>();
  for (const { children: [key, value] = [] } of node.children ?? []) {
    const name = String(key?.value);
    if (entries.has(name)) throw broken(file, text, key?.offset ?? 0, `the key "${name}" is there twice`);
    entries.set(name, valueOf(value, file, text));
  }
  return Object.fromEntries(entries);
}

function property(node: Node | undefined, key: string): Node | undefined {
  return node?.type === "object" ? node.children?.find((one) => one.children?.[0]?.value === key) : undefined;
}

function styleOf(text: string): Style {
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  return { eol, unit: /\n([ \t]+)"/.exec(text)?.[1] ?? "  " };
}

function fresh(slot: Slot, value: Data, { eol, unit }: Style): string {
  const all = [...slot.keys, slot.name].reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
  return `${pretty(all, unit).replaceAll("\n", eol)}${eol}`;
}

function insert(text: string, object: Node, key: string, value: unknown, style: Style): string {
  const last = object.children?.at(-1);
  if (!last) return insertFirst(text, object, key, value, style);
  const lastEnd = last.offset + last.length;
  const after = skip(text, lastEnd);
  const hasComma = text[after] === ",";
  const isOneLine = !text.slice(object.offset, last.offset).includes("\n");
  const at = hasComma ? after + 1 : lastEnd;
  const comma = hasComma ? "" : ",";
  if (isOneLine) {
    return splice(text, at, at, `${comma} ${JSON.stringify(key)}: ${oneLine(value)}${hasComma ? "," : ""}`);
  }
  const indent = indentAt(text, last.offset);
  const entry = `${style.eol}${indent}${member(key, value, indent, style)}${hasComma ? "," : ""}`;
  // A comment behind the last property, on its line, is about that one.
  const lineEnd = afterSameLine(text, at);
  return text.slice(0, lastEnd) + comma + text.slice(lastEnd, lineEnd) + entry + text.slice(lineEnd);
}

function insertFirst(text: string, object: Node, key: string, value: unknown, style: Style): string {
  const close = object.offset + object.length - 1;
  const inner = text.slice(object.offset + 1, close);
  const outer = indentAt(text, object.offset);
  const indent = outer + style.unit;
  const at = object.offset + 1 + inner.replace(/[ \t\r\n]+$/, "").length;
  const rest = text.slice(at, close);
  const closing = rest.includes("\n") ? rest : style.eol + outer;
  return splice(text, at, close, `${style.eol}${indent}${member(key, value, indent, style)}${closing}`);
}

function remove(text: string, object: Node, found: Node): string {
  const siblings = object.children ?? [];
  const index = siblings.indexOf(found);
  const end = found.offset + found.length;
  const after = skip(text, end);
  const hasComma = text[after] === ",";
  let start = found.offset;
  while (start > 0 && /[ \t]/.test(text[start - 1] ?? "")) start -= 1;
  // Between a property and its comma there may be a comment.
  const rest = hasComma ? text.slice(end, after) + text.slice(after + 1) : text.slice(end);
  // The end of the line above may be the end of a comment, and what follows on our line must not get into it.
  const isLast = /^[ \t]*(\r?\n|$)/.test(rest);
  if (text[start - 1] === "\n" && isLast) start -= text[start - 2] === "\r" ? 2 : 1;
  else if (text[start - 1] === "\n" || index === 0) start = found.offset;
  const previous = siblings[index - 1];
  if (siblings.length === 1) {
    const behind = text.slice(object.offset + object.length - 1);
    const left = text.slice(object.offset + 1, start) + rest.slice(0, rest.length - behind.length);
    return text.slice(0, object.offset + 1) + (left.trim() === "" ? "" : left) + behind;
  }
  if (hasComma || !previous) return text.slice(0, start) + rest;
  const comma = skip(text, previous.offset + previous.length);
  return text.slice(0, comma) + text.slice(comma + 1, start) + rest;
}

function member(key: string, value: unknown, indent: string, { unit, eol }: Style): string {
  return `${JSON.stringify(key)}: ${pretty(value, unit)}`.replaceAll("\n", eol + indent);
}

/** As JSON.stringify has it, but lists of words on one line. */
function pretty(value: unknown, unit: string): string {
  const isFlat = Array.isArray(value) && !value.some((item) => typeof item === "object" && item !== null);
  if (isFlat || !isData(value) || Object.keys(value).length === 0) return oneLine(value);
  const members = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}: ${pretty(inner, unit)}`);
  return `{\n${unit}${members.join(",\n").replaceAll("\n", `\n${unit}`)}\n}`;
}

/** `{ "a": 1 }`, as people write on one line. */
function oneLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(oneLine).join(", ")}]`;
  if (!isData(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}: ${oneLine(inner)}`);
  return members.length === 0 ? "{}" : `{ ${members.join(", ")} }`;
}

/** The white space that the line begins with. */
function indentAt(text: string, offset: number): string {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? "";
}

/** The first offset that is neither white space nor comment. */
function skip(text: string, from: number): number {
  const gap = /(?:[ \t\r\n]|\/\/[^\n\r]*|\/\*[^]*?\*\/)*/y;
  gap.lastIndex = from;
  return from + (gap.exec(text)?.[0].length ?? 0);
}

/** Behind spaces and comments, but not behind the end of the line. */
function afterSameLine(text: string, from: number): number {
  const gap = /(?:[ \t]*(?:\/\*(?:(?!\*\/)[^\n])*\*\/|\/\/[^\n\r]*))*/y;
  gap.lastIndex = from;
  return from + (gap.exec(text)?.[0].length ?? 0);
}

function splice(text: string, start: number, end: number, inserted: string): string {
  return text.slice(0, start) + inserted + text.slice(end);
}
