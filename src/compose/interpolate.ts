/** `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, `${NAME:+other}` and `$$` in the texts of a compose file. Pure. */

export type Lookup = (name: string) => string | undefined;

/** `used`: the values that came in. `unset`: names that were replaced by nothing. */
export type Interpolated =
  { ok: true; text: string; used: string[]; unset: string[] } | { ok: false; at: number; message: string };

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const OPERATOR = /:?[-?+]/y;
/** A default may have references of its own, so deep at most. */
const DEPTH_MAX = 16;

class Malformed extends Error {
  constructor(
    readonly at: number,
    message: string,
  ) {
    super(message);
  }
}

export function interpolate(text: string, lookup: Lookup): Interpolated {
  const used: string[] = [];
  const unset: string[] = [];
  try {
    const { out } = expand({ text, lookup, used, unset }, 0, 0);
    return { ok: true, text: out, used, unset };
  } catch (error) {
    if (error instanceof Malformed) return { ok: false, at: error.at, message: error.message };
    throw error;
  }
}

interface Work {
  text: string;
  lookup: Lookup;
  used: string[];
  unset: string[];
}

/** From a position to the end, or, inside a reference, to the `}` that closes it. */
function expand(work: Work, from: number, depth: number): { out: string; end: number } {
  const { text } = work;
  if (depth > DEPTH_MAX) throw new Malformed(from, `references are nested more than ${DEPTH_MAX} deep`);
  let out = "";
  let at = from;
  while (at < text.length) {
    const char = text.charAt(at);
    if (depth > 0 && char === "}") return { out, end: at };
    if (char !== "$") {
      out += char;
      at += 1;
    } else if (text.charAt(at + 1) === "$") {
      out += "$";
      at += 2;
    } else if (text.charAt(at + 1) === "{") {
      const found = braced(work, at, depth);
      out += found.out;
      at = found.end;
    } else {
      const name = match(NAME, text, at + 1);
      // A $ that begins no name is itself, as it is for the plugin.
      out += name === undefined ? "$" : (valueOf(work, name) ?? missing(work, name));
      at += 1 + (name ?? "").length;
    }
  }
  if (depth > 0) throw new Malformed(from, "a } is missing");
  return { out, end: at };
}

function braced(work: Work, at: number, depth: number): { out: string; end: number } {
  const { text } = work;
  const name = match(NAME, text, at + 2);
  if (name === undefined) throw new Malformed(at, "a variable's name is expected after ${");
  const after = at + 2 + name.length;
  if (text.charAt(after) === "}") return { out: valueOf(work, name) ?? missing(work, name), end: after + 1 };
  const operator = match(OPERATOR, text, after);
  if (operator === undefined) throw new Malformed(at, `}, :-, :? or :+ is expected after \${${name}`);
  const value = work.lookup(name);
  const present = value !== undefined && (value !== "" || !operator.startsWith(":"));
  // What is not taken does not count as used, but has to be well-formed.
  const taken = operator.endsWith("+") ? present : !present;
  const aside = taken ? work : { ...work, used: [], unset: [] };
  const { out: word, end } = expand(aside, after + operator.length, depth + 1);
  if (operator.endsWith("+")) return { out: present ? word : "", end: end + 1 };
  if (present) return { out: valueOf(work, name) ?? "", end: end + 1 };
  if (operator.endsWith("-")) return { out: word, end: end + 1 };
  // The message is the file's own; what it may refer to is not.
  throw new Malformed(at, `the variable ${name} is required: ${text.slice(after + operator.length, end) || "not set"}`);
}

function valueOf({ lookup, used }: Work, name: string): string | undefined {
  const value = lookup(name);
  if (value !== undefined && value !== "") used.push(value);
  return value;
}

function missing({ unset }: Work, name: string): string {
  unset.push(name);
  return "";
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}
