/** `${NAME}` and `${NAME:-default}` in the values of a configuration file; `$$` is a dollar sign. Pure. */

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export type Environment = Record<string, string | undefined>;

export type Expanded =
  | { ok: true; text: string; references: number }
  /** `at`: where in the input the faulty reference begins. */
  | { ok: false; at: number; message: string; hint: string };

/**
 * The input with every reference replaced. As in a shell, the default is also taken for a variable that is empty.
 * A variable that is not set and has no default is an error, never an empty text: a missing API key would otherwise
 * show up much later, as a refusal of some far service.
 */
export function expand(input: string, env: Environment): Expanded {
  let text = "";
  let references = 0;
  let at = 0;
  while (at < input.length) {
    const dollar = input.indexOf("$", at);
    if (dollar < 0) break;
    text += input.slice(at, dollar);
    const next = input[dollar + 1];
    if (next !== "{") {
      text += "$";
      at = dollar + (next === "$" ? 2 : 1);
      continue;
    }
    const end = input.indexOf("}", dollar);
    if (end < 0) return bad(dollar, "a ${ without its }", "write $$ for a dollar sign");
    const reference = resolve(input.slice(dollar + 2, end), env);
    if (typeof reference !== "string") return bad(dollar, reference.message, reference.hint);
    text += reference;
    references += 1;
    at = end + 1;
  }
  return { ok: true, text: text + input.slice(at), references };
}

function resolve(inside: string, env: Environment): string | { message: string; hint: string } {
  const colon = inside.indexOf(":-");
  const name = colon < 0 ? inside : inside.slice(0, colon);
  if (!NAME.test(name)) {
    return {
      message: "${…} does not hold a variable's name",
      hint: "write ${NAME} or ${NAME:-default}, and $$ for a dollar sign",
    };
  }
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (colon < 0) {
    if (value !== undefined) return value;
    return {
      message: `the environment variable ${name} is not set`,
      hint: `set ${name}, or give it a default: \${${name}:-default}`,
    };
  }
  const fallback = inside.slice(colon + 2);
  if (fallback.includes("${")) {
    return { message: "a reference inside a default is not supported", hint: "give the default as plain text" };
  }
  return value ? value : fallback;
}

function bad(at: number, message: string, hint: string): Expanded {
  return { ok: false, at, message, hint };
}
