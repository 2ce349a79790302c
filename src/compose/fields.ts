/** The forms in which the compose specification lets one write texts, lists, maps, durations and sizes. */
import * as v from "valibot";
import { areForeign } from "../docker/label-rules.ts";
import { parseBytes } from "../model/units.ts";
import { isRecord } from "./source.ts";

const TEXT_MAX = 128 * 1024;

/** A mapping whose keys are all named; `x-…` is anybody's own. */
export function mapping<const E extends v.ObjectEntries>(entries: E) {
  return v.pipe(v.unknown(), v.transform(withoutExtensions), v.strictObject(entries));
}

/** Names of people's own: services, volumes. */
export function named<S extends v.GenericSchema>(value: S) {
  const name = v.pipe(
    v.string(),
    v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/, "expected letters, digits, _ . and -, a letter or digit first"),
  );
  return v.pipe(v.unknown(), v.transform(withoutExtensions), v.record(name, value));
}

function withoutExtensions(input: unknown): unknown {
  // A list would pass for a mapping with numbers for names.
  if (Array.isArray(input)) return "a list";
  if (!isRecord(input)) return input;
  return Object.fromEntries(Object.entries(input).filter(([name]) => !name.startsWith("x-")));
}

export const text = v.pipe(
  v.union([v.string(), v.number(), v.boolean()], "expected a text"),
  v.transform(String),
  v.maxLength(TEXT_MAX),
  v.check((input) => !input.includes("\0"), "a NUL character is not allowed"),
);

export const yes = v.pipe(
  v.union([v.boolean(), v.picklist(["true", "false", "yes", "no", "on", "off"])], "expected true or false"),
  v.transform((input) => input === true || input === "true" || input === "yes" || input === "on"),
);

/** Also as text, for it may come out of a variable. */
export const number = v.pipe(
  v.union([v.number(), v.pipe(v.string(), v.regex(/^-?\d+(\.\d+)?$/), v.transform(Number))], "expected a number"),
  v.number(),
);
export const whole = (min: number, max: number) =>
  v.pipe(number, v.integer("expected a whole number"), v.minValue(min), v.maxValue(max));

export const size = v.pipe(
  v.union([v.number(), v.string()]),
  v.transform((input) => (typeof input === "number" ? input : (parseBytes(input) ?? Number.NaN))),
  v.number("expected a size such as 512m or 1g"),
  v.integer(),
  v.minValue(0),
);

const UNITS_NS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** `1m30s`, `1.5h`, `300ms` → nanoseconds. */
export const duration = v.pipe(
  text,
  v.regex(/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$|^0$/, "expected a duration such as 1m30s"),
  v.transform((input) =>
    [...input.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)].reduce(
      (sum, [, count, unit]) => sum + Math.round(Number(count) * (UNITS_NS[unit ?? ""] ?? 0)),
      0,
    ),
  ),
);

export const texts = v.pipe(v.array(text), v.maxLength(1024));
export const textOrTexts = v.pipe(
  v.union([text, texts], "expected a text or a list of texts"),
  v.transform((input) => [input].flat()),
);

/** `{A: b, C: null}` or `["A=b", "C"]`; null: the value is looked up elsewhere. */
export const assignments = v.pipe(
  v.union([texts, v.record(v.string(), v.nullable(text))], "expected a mapping, or a list of NAME=value"),
  v.transform((input): Record<string, string | null> => {
    if (!Array.isArray(input)) return input;
    return Object.fromEntries(
      input.map((one): [string, string | null] => {
        const at = one.indexOf("=");
        return at < 0 ? [one, null] : [one.slice(0, at), one.slice(at + 1)];
      }),
    );
  }),
  v.check((input) => Object.keys(input).every((name) => name !== "" && !/[\0=]/.test(name)), "a name is missing"),
);
export const labels = v.pipe(
  assignments,
  v.transform((input) => Object.fromEntries(Object.entries(input).map(([name, value]) => [name, value ?? ""]))),
  v.check(
    (input) => !Object.keys(input).some((name) => name.startsWith("com.docker.compose")),
    "labels of com.docker.compose are its own",
  ),
  v.check(areForeign, "expected labels that are not Linkspan's own"),
);

/** A list of words, or a text that is split into words; never given to a shell. Null: back to the image's. */
export const command = v.nullable(
  v.pipe(
    v.union([texts, text]),
    v.rawTransform<string[] | string, string[]>(({ dataset, addIssue, NEVER }) => {
      if (Array.isArray(dataset.value)) return dataset.value;
      const split = splitWords(dataset.value);
      if (split) return split;
      addIssue({ message: 'a quote is not closed, or a shell\'s operator is in it: write ["sh", "-c", "…"]' });
      return NEVER;
    }),
  ),
);

const WORD = /\s*((?:[^\s"'\\;&|<>]|\\[^]|"(?:[^"\\]|\\[^])*"|'[^']*')+)\s*/y;

function splitWords(line: string): string[] | undefined {
  const words: string[] = [];
  let at = 0;
  const end = line.trimEnd().length;
  while (at < end) {
    WORD.lastIndex = at;
    const found = WORD.exec(line);
    if (!found) return undefined;
    words.push(unquoted(found[1] ?? ""));
    at = WORD.lastIndex;
  }
  return words;
}

function unquoted(word: string): string {
  return word.replace(/\\([^])|"((?:[^"\\]|\\[^])*)"|'([^']*)'/g, (_, escaped, double, single) => {
    if (typeof escaped === "string") return escaped;
    return typeof double === "string" ? double.replace(/\\(["\\$`])/g, "$1") : String(single);
  });
}
