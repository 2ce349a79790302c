/** `.env` files and those of `env_file`. Pure. */
import { interpolate, type Lookup } from "./interpolate.ts";

const ASSIGNMENT = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:(?:=|:(?=\s))\s*(.*))?$/s;
const ESCAPES: Record<string, string> = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\", $: "$$" };

export type Dotenv = { ok: true; values: Record<string, string> } | { ok: false; line: number; message: string };

/**
 * `NAME=value` or `NAME: value` by lines: plain values end at ` #`, `'…'` is literal, `"…"` knows escapes; both may span lines. References
 * are replaced in all but `'…'`, by what stands above them or else by `outer`. A name alone takes its value from `outer`.
 */
export function parseDotenv(text: string, outer: Lookup): Dotenv {
  const values = new Map<string, string>();
  const lookup: Lookup = (name) => outer(name) ?? values.get(name);
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  for (let index = 0; index < lines.length; index += 1) {
    const line = index + 1;
    const written = (lines[index] ?? "").trim();
    if (written === "" || written.startsWith("#")) continue;
    const [, name, begun] = ASSIGNMENT.exec(written) ?? [];
    if (name === undefined) return { ok: false, line, message: "expected NAME=value" };
    if (begun === undefined) {
      const inherited = outer(name);
      if (inherited !== undefined) values.set(name, inherited);
      continue;
    }
    const quote = /^["']/.exec(begun)?.[0];
    let rest = begun;
    if (quote) {
      while (closing(rest, quote) < 0 && index + 1 < lines.length) rest += `\n${lines[(index += 1)]}`;
      if (closing(rest, quote) < 0) return { ok: false, line, message: `a ${quote} is missing` };
    }
    const value = valueOf(rest, quote, lookup);
    if (!value.ok) return { ok: false, line, message: value.message };
    values.set(name, value.text);
  }
  return { ok: true, values: Object.fromEntries(values) };
}

/** `format: raw`: everything after `=` as it stands, as `docker run --env-file` takes it. */
export function parseRaw(text: string, outer: Lookup): Dotenv {
  const values: Record<string, string> = {};
  for (const line of text.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    const written = line.trimStart();
    if (written === "" || written.startsWith("#")) continue;
    const at = written.indexOf("=");
    const name = at < 0 ? written : written.slice(0, at);
    const value = at < 0 ? outer(name) : written.slice(at + 1);
    if (value !== undefined) values[name] = value;
  }
  return { ok: true, values };
}

function valueOf(rest: string, quote: string | undefined, lookup: Lookup) {
  if (quote === undefined) return interpolate(rest.replace(/(^|\s+)#.*$/s, "").trimEnd(), lookup);
  const inside = rest.slice(1, closing(rest, quote));
  if (quote === "'") return { ok: true as const, text: inside };
  return interpolate(
    inside.replace(/\\([nrt"\\$])/g, (_, char: string) => ESCAPES[char] ?? char),
    lookup,
  );
}

/** Where the quote ends, or -1. */
function closing(text: string, quote: string): number {
  for (let at = 1; at < text.length; at += 1) {
    if (quote === '"' && text.charAt(at) === "\\") at += 1;
    else if (text.charAt(at) === quote) return at;
  }
  return -1;
}
