/** What a schema found wrong in a request, as a fault. Values are never repeated: they may be secrets. */
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";

type Issue = v.BaseIssue<unknown>;

/** How many findings a problem body lists. */
const ISSUES_MAX = 10;

export function issueFault(
  schema: v.GenericSchema,
  issues: readonly Issue[],
  where: string,
  otherwise?: string,
): Fault {
  const found = issues.flatMap((issue) => explain(issue, [])).slice(0, ISSUES_MAX);
  const [first = { path: [], message: "not valid", unknown: false }] = found;
  const at = first.path.length > 0 ? ` at ${first.path.join(".")}` : "";
  const known = first.unknown ? similar(first.path.at(-1) ?? "", knownFields(schema, first.path.slice(0, -1))) : [];
  return new Fault("invalid", `${where} is not valid${at}: ${first.message}`, {
    hint: known.length > 0 ? `Did you mean ${known.join(" or ")}?` : otherwise,
    data: { issues: found.map(({ path, message }) => ({ path: path.join("."), message })) },
  });
}

interface Finding {
  path: string[];
  message: string;
  unknown: boolean;
}

function explain(issue: Issue, above: string[]): Finding[] {
  const path = [...above, ...(issue.path ?? []).map((step) => String(step.key))];
  // Of a union of text and object, what is wrong inside the object says more than "neither of them".
  const inner = issue.issues?.filter((one) => one.path !== undefined || one.kind === "validation") ?? [];
  if (inner.length > 0) return inner.flatMap((one) => explain(one, path));
  const unknown = issue.type === "strict_object" && issue.expected === "never";
  return [{ path, unknown, message: unknown ? "there is no such field" : expectation(issue) }];
}

/** Our own schemas bring their sentence; valibot's own go on with what was received, and are reworded. */
function expectation(issue: Issue): string {
  if (issue.type === "strict_object" && issue.received === "undefined") return "it is missing";
  if (!/^Invalid \w+:/.test(issue.message)) return issue.message;
  const wanted = issue.expected ?? "another value";
  const bound = /^([<>])=(.*)$/.exec(wanted);
  if (bound) return `expected at ${bound[1] === "<" ? "most" : "least"} ${bound[2]}`;
  return `expected ${WORDS[wanted] ?? wanted}`;
}

const WORDS: Record<string, string> = {
  Object: "an object",
  Array: "an array",
  string: "a string",
  number: "a number",
  boolean: "true or false",
  "(string | Object)": "a string or an object",
  "(number | string)": "a number or a string",
};

/** The fields of the object at the path, as far as the schema can be followed. */
function knownFields(schema: unknown, path: readonly string[]): string[] {
  const here = unwrap(schema);
  const [step, ...rest] = path;
  if (step === undefined) return isRecord(here?.entries) ? Object.keys(here.entries) : [];
  if (isRecord(here?.entries)) return knownFields(here.entries[step], rest);
  return knownFields(here?.item ?? here?.value, rest);
}

function unwrap(schema: unknown): Record<string, unknown> | undefined {
  if (!isRecord(schema)) return undefined;
  if (schema.wrapped !== undefined) return unwrap(schema.wrapped);
  // A pipe has the fields of its first schema; where that is `unknown`, a later one says what is meant.
  const [, ...later] = Array.isArray(schema.pipe) ? schema.pipe : [];
  const meant = schema.type === "unknown" ? later.findLast((one) => isRecord(one) && one.kind === "schema") : undefined;
  if (meant !== undefined) return unwrap(meant);
  return Array.isArray(schema.options) ? unwrap(schema.options.find((one) => isRecord(one) && one.entries)) : schema;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
