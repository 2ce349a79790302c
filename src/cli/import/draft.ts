/** A server of linkspan.yaml in the making, with a reason for each thing that is not obvious. Values are in the file's own form. */
import { isReference } from "./references.ts";
import { isSecretName, isSecretValue, type Variables } from "./secrets.ts";

export interface Body {
  image: string;
  command?: string[];
  args?: string[];
  env?: Record<string, string>;
  secrets?: Record<string, string>;
  volumes?: string[];
  limits?: Record<string, string | number>;
  network?: string;
  user?: string;
  workdir?: string;
  readOnly?: boolean;
  capAdd?: string[];
  stopTimeout?: string;
  labels?: Record<string, string>;
}

export type Kind = "npm" | "pypi" | "image" | "process";

/** What became of one server: a definition, or the reason why there is none. */
export interface Decision {
  /** Its name here. */
  name: string;
  /** Its name there. */
  was: string;
  kind: Kind | "left out";
  body?: Body;
  /** In sentences: what was changed, dropped, guessed. */
  notes: string[];
}

export interface Making {
  name: string;
  variables: Variables;
  /** Secrets are written as they are. */
  inClear: boolean;
  notes: string[];
}

/** Why a server cannot be taken over. */
export class Refusal extends Error {}

/** Splits variables into what may be in the engine's sight and what may not. */
export function environment(making: Making, values: Record<string, string>): Pick<Body, "env" | "secrets"> {
  const env: Record<string, string> = {};
  const secrets: Record<string, string> = {};
  for (const [key, value] of Object.entries(values)) {
    const isSecret = isSecretName(key) || isSecretValue(value);
    if (!isSecret) env[key] = value;
    else secrets[key] = making.inClear ? value : making.variables.refer(making.name, key, value);
    if (isSecret && !isReference(value) && !making.inClear) {
      making.notes.push(`${key} looks like a secret: it is ${secrets[key]} now, its value was not written`);
    }
  }
  return { ...present("env", env), ...present("secrets", secrets) };
}

/** Arguments with a reference in the place of what looks like a secret. */
export function safeArguments(making: Making, args: readonly string[]): string[] {
  return args.map((word, at) => {
    const [, flag, inside] = /^(--?[A-Za-z][\w-]*)=(.+)$/s.exec(word) ?? [];
    const before = args[at - 1] ?? "";
    const value = inside ?? word;
    const named = flag ?? (/^--?[A-Za-z][\w-]*$/.test(before) ? before : undefined);
    const isNamed = named !== undefined && isSecretName(named.replace(/^-+/, "")) && !word.startsWith("-".repeat(2));
    const isSecret = isNamed || (flag !== undefined && isSecretName(flag.replace(/^-+/, ""))) || isSecretValue(value);
    if (!isSecret || isReference(value) || making.inClear) return word;
    const name = `${making.name}_${(named ?? `argument_${at + 1}`).replace(/^-+/, "")}`.toUpperCase();
    const reference = making.variables.refer(making.name, name, value);
    making.notes.push(`argument ${at + 1} looks like a secret: it is ${reference} now, its value was not written`);
    return flag === undefined ? reference : `${flag}=${reference}`;
  });
}

/** As people write them. */
const ORDER = ["image", "command", "args", "env", "secrets", "volumes", "limits", "network"];

export function inOrder(body: Body): Body {
  const rank = (key: string) => (ORDER.includes(key) ? ORDER.indexOf(key) : ORDER.length);
  const entries = Object.entries(body).toSorted(([one], [other]) => rank(one) - rank(other));
  return { ...Object.fromEntries(entries), image: body.image };
}

/** A key only where it says something. */
export function present<K extends string, T extends object>(key: K, value: T): { [key in K]?: T } {
  const result: { [key in K]?: T } = {};
  if (Object.keys(value).length > 0) result[key] = value;
  return result;
}
