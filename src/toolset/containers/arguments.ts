/** Arguments of tools that make a container or run something in one, in the forms that models and the Python mcp-docker write. */
import { parse } from "shell-quote";
import * as v from "valibot";

const noNul = (input: string) => !input.includes("\0");
/** No NUL: neither an argument nor an environment value can carry one. Everything else may be in it, `;` too. */
const value = v.pipe(v.string(), v.maxLength(128 * 1024), v.check(noNul, "a NUL character is not allowed"));
const words = v.pipe(v.array(value), v.minLength(1), v.maxLength(1024));

/** A list of words, or a string that is split as a shell would, without anything else that a shell does. */
export const argvAs = (description: string) =>
  v.pipe(
    v.union([words, value]),
    // Before the transformation: a JSON Schema of the input has nothing that comes after it.
    v.description(description),
    v.rawTransform<string | string[], string[]>(({ dataset, addIssue, NEVER }) => {
      if (typeof dataset.value !== "string") return dataset.value;
      const split = splitWords(dataset.value);
      if (split && split.length > 0) return split;
      addIssue({ message: 'a shell\'s operators mean nothing here: write ["sh", "-c", "…"]' });
      return NEVER;
    }),
  );
export const argv = argvAs('["ls", "-l"], or a string that is split into words; never given to a shell');

/** Undefined where it has an operator, a glob or a comment of a shell. */
function splitWords(text: string): string[] | undefined {
  const parts = parse(text, (name) => `$${name}`);
  return parts.every((part) => typeof part === "string") ? parts : undefined;
}

const variable = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,255}$/, "expected a variable's name such as API_KEY"),
);
const variables = v.record(variable, value);

const assignments = v.pipe(
  v.array(v.pipe(value, v.regex(/^[A-Za-z_][^=]*=/, "expected NAME=value"))),
  v.transform((list) =>
    Object.fromEntries(list.map((one) => [one.slice(0, one.indexOf("=")), one.slice(one.indexOf("=") + 1)])),
  ),
  variables,
);

/** An object, the same as JSON text, or a list of `NAME=value`. */
export const environment = v.pipe(
  v.union([variables, v.pipe(v.string(), v.parseJson(), variables), assignments]),
  v.description('{"NAME": "value"}'),
);

export const userName = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?$/, "expected NAME, UID or UID:GID"),
  v.description("Name or id, with :GROUP if need be"),
);

export const containerPath = v.pipe(
  v.string(),
  v.maxLength(4096),
  v.regex(/^\/[^\0]*$/, "expected an absolute path inside the container"),
);
export const workdir = v.pipe(containerPath, v.description("Absolute path inside the container"));
