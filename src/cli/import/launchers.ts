/** Programs that fetch a package and run it: `npx`, `uvx` and their like become references to the package. */
import { statSync } from "node:fs";
import { type Body, environment, type Kind, type Making, present, Refusal, safeArguments } from "./draft.ts";

export interface Launched {
  kind: Kind;
  body: Body;
}

interface Launcher {
  /** The words that start it. */
  words: string[];
  kind: "npm" | "pypi";
  /** Options that take the next word, and what is to be made of it. */
  valued: Record<string, "package" | "also" | "drop" | "refuse">;
}

const NPM = {
  "-p": "package",
  "--package": "package",
  "-c": "refuse",
  "--call": "refuse",
  "--registry": "drop",
} as const;
const PYPI = {
  "--from": "package",
  "--spec": "package",
  "--python": "drop",
  "-p": "drop",
  "--with": "also",
  "--with-editable": "refuse",
  "--with-requirements": "refuse",
  "--index-url": "refuse",
  "--index": "refuse",
  "--default-index": "refuse",
  "--extra-index-url": "refuse",
  "--directory": "refuse",
  "--env-file": "refuse",
  "--pip-args": "refuse",
} as const;

const LAUNCHERS: Launcher[] = [
  { words: ["npx"], kind: "npm", valued: NPM },
  { words: ["npm", "exec"], kind: "npm", valued: NPM },
  { words: ["npm", "x"], kind: "npm", valued: NPM },
  { words: ["bunx"], kind: "npm", valued: NPM },
  { words: ["bun", "x"], kind: "npm", valued: NPM },
  { words: ["pnpx"], kind: "npm", valued: NPM },
  { words: ["pnpm", "dlx"], kind: "npm", valued: NPM },
  { words: ["yarn", "dlx"], kind: "npm", valued: NPM },
  { words: ["uvx"], kind: "pypi", valued: PYPI },
  { words: ["uv", "tool", "run"], kind: "pypi", valued: PYPI },
  { words: ["pipx", "run"], kind: "pypi", valued: PYPI },
];

/** Undefined where the words start something else. Throws Refusal where they say what no reference can. */
export function launched(making: Making, words: readonly string[], env: Record<string, string>): Launched | undefined {
  const launcher = LAUNCHERS.find((one) =>
    one.words.every((word, at) => word === (at === 0 ? programName(words[0] ?? "") : words[at])),
  );
  if (!launcher) return undefined;
  const { ref, program, args } = packageOf(launcher, words.slice(launcher.words.length), making);
  const bare = ref
    .replace(/(?<=.)[@,[][^/]*$/, "")
    .split("/")
    .at(-1);
  making.notes.push("network: egress, because it could reach the outside before; remove the line if it need not");
  const body: Body = {
    image: `${launcher.kind}:${ref}`,
    // The program that is named like its package needs no name.
    ...present("command", program === undefined || program === bare ? [] : [program]),
    ...present("args", safeArguments(making, args)),
    ...environment(making, env),
    ...present("volumes", paths(making, args)),
    network: "egress",
  };
  return { kind: launcher.kind, body };
}

/** `C:\\Program Files\\nodejs\\npx.cmd` → `npx`. */
export function programName(word: string): string {
  return (word.split(/[\\/]/).at(-1) ?? word).replace(/\.(exe|cmd|bat|ps1)$/i, "").toLowerCase();
}

interface Package {
  ref: string;
  /** The program of the package, where it is named apart from it. */
  program?: string;
  args: string[];
}

function packageOf({ kind, valued }: Launcher, words: readonly string[], making: Making): Package {
  let named: string | undefined;
  const others: string[] = [];
  const whole = (written: string) => [refOf(kind, written, making), ...others].join(",");
  for (let at = 0; at < words.length; at += 1) {
    const [option = "", attached] = /^(--[^=]+)=(.*)$/s.exec(words[at] ?? "")?.slice(1) ?? [words[at]];
    const meaning = valued[option];
    if (option === "--") continue;
    if (meaning !== undefined) {
      const value = attached ?? words[(at += 1)];
      if (meaning === "refuse") throw new Refusal(`${option} cannot be said by a reference`);
      if (meaning === "package") named = value;
      else if (meaning === "also") others.push(requirement(value ?? ""));
      else making.notes.push(`${option} ${value ?? ""} was left out`);
    } else if (!option.startsWith("-")) {
      const rest = words.slice(at + 1);
      const args = rest[0] === "--" && kind === "npm" ? rest.slice(1) : rest;
      return named === undefined ? { ref: whole(option), args } : { ref: whole(named), program: option, args };
    }
  }
  throw new Refusal("no package is named");
}

function refOf(kind: "npm" | "pypi", written: string, making: Making): string {
  if (/^(git\+|git:|github:|https?:|file:|\.{0,2}\/|~)/.test(written) || written.includes("://")) {
    throw new Refusal(`${written} is no package of a registry`);
  }
  if (kind === "npm") {
    if (!/^(@[\w.-]+\/)?[\w.-]+(@[\w.^~<>=*+-]+)?$/.test(written))
      throw new Refusal(`${written} is no package of a registry`);
    return written.replace(/@latest$/, "");
  }
  const [, name, extras = "", version] =
    /^([A-Za-z0-9][\w.-]*)(\[[\w,.-]+\])?(?:(?:==|@)([\w.+!-]+))?$/.exec(written) ?? [];
  if (name === undefined) throw new Refusal(`${written} is no package with one version`);
  if (version === undefined || version === "latest") {
    making.notes.push("no version is named: the newest is taken when the server is first made");
    return `${name}${extras}`;
  }
  return `${name}${extras}@${version}`;
}

/** What `--with` names beside the package. */
function requirement(written: string): string {
  if (/^[A-Za-z0-9][\w.-]*(\[[\w,.-]+\])?((~=|==|!=|<=|>=|<|>)[\w.*+!-]+)?(,[\w.<>=!~*+-]+)*$/.test(written))
    return written;
  throw new Refusal(`${written} beside the package cannot be said by a reference`);
}

/** Folders and files of this machine among the arguments: in a container they are there only as volumes. */
function paths(making: Making, args: readonly string[]): string[] {
  const found = [...new Set(args.filter((word) => /^\/[^\0:,]+$/.test(word) && isThere(word)))];
  for (const path of found) {
    making.notes.push(
      `${path} is a path here: it is a volume, read-only; write ${path}:${path}:rw if it is to be changed`,
    );
  }
  for (const word of args.filter((one) => /^[A-Za-z]:[\\/]/.test(one))) {
    making.notes.push(`${word} is a path of Windows: mount it as a volume and name the path inside`);
  }
  return found.map((path) => `${path}:${path}`);
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
