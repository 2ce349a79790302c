/** TOML: an entry is a table of its own at the end of the file; the parser says where tables begin and end. */
import { type AST, getStaticTOMLValue, ParseError, parseTOML } from "toml-eslint-parser";
import { Fault } from "../../base/fault.ts";
import { broken, type Data, type Editor, isData, type Slot } from "./editor.ts";

/** The version that clients' parsers know; 1.1 takes more. */
const TOML = { tomlVersion: "1.0.0" } as const;

export const TOML_EDITOR: Editor = {
  read(text, file) {
    try {
      return getStaticTOMLValue(parseTOML(text, TOML));
    } catch (thrown) {
      if (thrown instanceof ParseError) throw broken(file, text, thrown.index, thrown.message);
      throw thrown;
    }
  },
  put(text, slot, value) {
    const eol = text.includes("\r\n") ? "\r\n" : "\n";
    const gap = text === "" ? "" : text.endsWith("\n") ? eol : eol + eol;
    return text + gap + table(slot, value).join(eol) + eol;
  },
  take(text, slot) {
    const path = [...slot.keys, slot.name];
    const tables = parseTOML(text, TOML).body[0].body.filter((node) => node.type === "TOMLTable");
    const ours = tables.filter(({ resolvedKey }) => path.every((key, at) => resolvedKey[at] === key));
    return ours.reduceRight((rest, node) => cut(rest, node), text);
  },
};

function table(slot: Slot, value: Data): string[] {
  const heading = `[${[...slot.keys, slot.name].map(bare).join(".")}]`;
  return [heading, ...Object.entries(value).map(([key, inner]) => `${bare(key)} = ${literal(inner)}`)];
}

/** From the heading to the end of its last line, with the empty line above. */
function cut(text: string, node: AST.TOMLTable): string {
  const lineEnd = text.indexOf("\n", node.range[1]);
  const end = lineEnd < 0 ? text.length : lineEnd + 1;
  const start = text.lastIndexOf("\n", node.range[0] - 1) + 1;
  const above = text.slice(0, start);
  return above.replace(/(^|\n)\r?\n$/, "$1") + text.slice(end);
}

function bare(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key);
}

/** JSON's strings are basic strings of TOML, but for DEL, which TOML wants escaped. */
function literal(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value).replaceAll("\u007f", "\\u007f");
  if (typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return String(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (!isData(value)) throw new Fault("unsupported", "a value of the entry cannot be written as TOML");
  const members = Object.entries(value).map(([key, inner]) => `${bare(key)} = ${literal(inner)}`);
  return members.length === 0 ? "{}" : `{ ${members.join(", ")} }`;
}
