/**
 * YAML: `yaml` reads the document and says where its values are; lines are added and removed in the text itself, because a
 * document that is written anew has other quotes, breaks and spaces than its owner gave it.
 */
import {
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  stringify,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { Fault } from "../../base/fault.ts";
import { broken, type Data, type Editor, type Slot } from "./editor.ts";

type Value = Node | null;
type Entry = Pair<Node, Value>;
type Mapping = YAMLMap<Node, Value>;

export const YAML_EDITOR: Editor = {
  read: (text, file) => document(text, file).toJS({ maxAliasCount: 100 }),
  put: (text, slot, value) =>
    putLines(text, slot, slot.list ? [{ name: slot.name, ...value }] : { [slot.name]: value }),
  take(text, slot) {
    let here: Value = root(text);
    const above: Entry[] = [];
    for (const key of slot.keys) {
      const pair: Entry | undefined = isMap<Node, Value>(here) ? pairOf(here, key) : undefined;
      if (!pair) return text;
      above.push(pair);
      here = pair.value;
    }
    if (isSeq<Node>(here)) return takeItem(text, here, slot.name, above);
    return isMap<Node, Value>(here) ? takePair(text, here, slot.name, above) : text;
  },
};

/**
 * The mapping of entries (or list of items) added under the keys, as lines of their own. For `linkspan.yaml` too, where
 * `render` may bring comments along.
 */
export function putLines(text: string, slot: Slot, value: Data | Data[], render = block): string {
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const lines = (indent: string, inner: unknown) => indented(render(inner), indent, eol);
  let here: Value = root(text);
  let indent = "";
  for (const [depth, key] of slot.keys.entries()) {
    if (here !== null && (!isMap<Node, Value>(here) || here.flow))
      return putInFlow(text, here, slot.keys.slice(depth), value);
    const pair: Entry | undefined = here === null ? undefined : pairOf(here, key);
    if (!pair) {
      const nested = slot.keys.slice(depth).reduceRight<unknown>((all, name) => ({ [name]: all }), value);
      return here === null
        ? atLine(text, text.length, lines("", nested), eol)
        : atLine(text, lineAfter(text, here), lines(indentOf(text, here), nested), eol);
    }
    here = pair.value;
    indent = `${" ".repeat(columnOf(text, startOf(pair)))}  `;
    if (isNothing(here)) {
      const nested = slot.keys.slice(depth + 1).reduceRight<unknown>((all, name) => ({ [name]: all }), value);
      return atLine(text, nextLine(text, endOf(pair)), lines(indent, nested), eol);
    }
  }
  if ((isMap<Node, Value>(here) || isSeq<Node>(here)) && !here.flow && here.items.length > 0) {
    return atLine(text, lineAfter(text, here), lines(indentOf(text, here), value), eol);
  }
  return putInFlow(text, here, [], value);
}

function document(text: string, file: string) {
  const found = parseDocument(text, { prettyErrors: false });
  const [error] = found.errors;
  if (error) throw broken(file, text, error.pos[0], error.message);
  return found;
}

function root(text: string): Value {
  // What ends a document ends the place for more of it, and is too rare to be worth more than a refusal.
  if (/^(\.\.\.|---)(\s|$)/m.test(text.replace(/^(\uFEFF?(#[^\n]*|\s*)\r?\n)*---[ \t]*\r?\n/, ""))) throw layout();
  const { contents } = parseDocument<Node>(text);
  return isNothing(contents) ? null : contents;
}

function isNothing(node: Value): boolean {
  return node === null || (isScalar(node) && node.value === null && (node.source ?? "") === "");
}

function pairOf(map: Mapping, key: string): Entry | undefined {
  return map.items.find((pair) => isScalar(pair.key) && pair.key.value === key);
}

function startOf(node: Node | Entry): number {
  const start = "key" in node ? node.key.range?.[0] : node.range?.[0];
  if (start === undefined) throw layout();
  return start;
}

/** Behind the last character of a value, comments not counted. */
function endOf(node: Node | Entry): number {
  if ("key" in node) return isNothing(node.value) || !node.value ? behindColon(node) : endOf(node.value);
  if ((isMap<Node, Value>(node) || isSeq<Node>(node)) && !node.flow) {
    const last = node.items.at(-1);
    if (last) return endOf(last);
  }
  const end = node.range?.[1];
  if (end === undefined) throw layout();
  return end;
}

function behindColon(pair: Entry): number {
  return pair.value?.range?.[0] ?? (pair.key.range?.[1] ?? 0) + 1;
}

/** The start of the line below; a block scalar ends there already. */
function nextLine(text: string, offset: number): number {
  if (offset > 0 && text[offset - 1] === "\n") return offset;
  const end = text.indexOf("\n", offset);
  return end < 0 ? text.length : end + 1;
}

function lineAfter(text: string, node: Node): number {
  return nextLine(text, endOf(node));
}

function columnOf(text: string, offset: number): number {
  return offset - (text.lastIndexOf("\n", offset - 1) + 1);
}

/** What stands before the first key, or before the dash of the first item. */
function indentOf(text: string, node: Mapping | YAMLSeq<Node>): string {
  const first = node.items[0];
  if (!first) throw layout();
  const start = text.lastIndexOf("\n", startOf(first) - 1) + 1;
  const before = text.slice(start, startOf(first));
  if (isSeq(node)) {
    const dash = /^ *(?=- *$)/.exec(before);
    if (!dash) throw layout();
    return dash[0];
  }
  if (before.trim() !== "") throw layout();
  return before;
}

function block(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}

function indented(block: string, indent: string, eol: string): string {
  const lines = block.replace(/\n+$/, "").split("\n");
  return lines.map((line) => (line === "" ? eol : indent + line + eol)).join("");
}

function atLine(text: string, at: number, lines: string, eol: string): string {
  const gap = at > 0 && text[at - 1] !== "\n" ? eol : "";
  return text.slice(0, at) + gap + lines + text.slice(at);
}

/** `{ a: 1 }` and `[…]`: JSON is what may stand inside them. */
function putInFlow(text: string, node: Value, keys: readonly string[], value: Data | Data[]): string {
  if (!(isMap<Node, Value>(node) || isSeq<Node>(node)) || !node.flow || keys.length > 1) throw layout();
  const [key] = keys;
  if (key !== undefined && isMap<Node, Value>(node)) {
    const pair = pairOf(node, key);
    if (pair) return putInFlow(text, pair.value, [], value);
    return intoFlow(text, node, `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  }
  if (isSeq(node)) return intoFlow(text, node, JSON.stringify(value).slice(1, -1));
  return intoFlow(
    text,
    node,
    JSON.stringify(value)
      .slice(1, -1)
      .replace(/^("(?:[^"\\]|\\.)*"):/, "$1: "),
  );
}

function intoFlow(text: string, node: Mapping | YAMLSeq<Node>, member: string): string {
  const last = node.items.at(-1);
  const at = last ? endOf(last) : startOf(node) + 1;
  return text.slice(0, at) + (last ? `, ${member}` : ` ${member} `) + text.slice(at);
}

function takePair(text: string, map: Mapping, name: string, above: Entry[]): string {
  const pair = pairOf(map, name);
  if (!pair) return text;
  if (map.flow) return takeFromFlow(text, map.items, pair);
  return takeLines(text, startOf(pair), endOf(pair), map.items.length === 1 ? above : [], "{}");
}

function takeItem(text: string, list: YAMLSeq<Node>, name: string, above: Entry[]): string {
  const item = list.items.find((one) => isMap(one) && one.get("name") === name);
  if (!item) return text;
  if (list.flow) return takeFromFlow(text, list.items, item);
  return takeLines(text, startOf(item), endOf(item), list.items.length === 1 ? above : [], "[]");
}

function takeFromFlow(text: string, items: (Node | Entry)[], item: Node | Entry): string {
  const at = items.indexOf(item);
  const [before, after] = [items[at - 1], items[at + 1]];
  if (before) return text.slice(0, endOf(before)) + text.slice(endOf(item));
  const end = after ? startOf(after) : endOf(item);
  return text.slice(0, startOf(item)) + text.slice(end);
}

/** Whole lines; a key that they were all of says that there is nothing, because there are clients that want the key. */
function takeLines(text: string, from: number, to: number, above: Entry[], empty: string): string {
  const start = text.lastIndexOf("\n", from - 1) + 1;
  if (!/^ *(- *)?$/.test(text.slice(start, from))) throw layout();
  const end = nextLine(text, to);
  const parent = above.at(-1);
  if (!parent) return text.slice(0, start) + text.slice(end);
  const keyEnd = (parent.key.range?.[1] ?? startOf(parent)) + 1;
  return `${text.slice(0, keyEnd)} ${empty}${text.slice(keyEnd, start)}${text.slice(end)}`;
}

function layout(): Fault {
  return new Fault("unsupported", "this layout of YAML cannot be edited safely", {
    hint: "Nothing was changed. Write the entry by hand.",
  });
}
