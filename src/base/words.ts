/** Words of a command line that say what a server gets: `K=V`, `K` from the environment here, `SRC:DST`. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Fault } from "./fault.ts";

/** `-e K=V` and `-e K`, which takes the value from this process's environment. Faults: `usage`. */
export function variables(words: readonly string[]): Record<string, string> {
  return pairs(words, fromHere);
}

/** `--secret K` and `--secret K=@FILE`; never a value on the command line. Faults: `usage`. */
export function secrets(words: readonly string[]): Record<string, string> {
  return pairs(words, fromHere, secretValue);
}

/** `--env-file`: lines of `K=V`; empty lines and lines that begin with # are left out. As Docker's, without quotes. */
export function variablesOfFile(file: string): Record<string, string> {
  const lines = readText(file).split(/\r?\n/);
  return variables(lines.map((line) => line.trimStart()).filter((line) => line !== "" && !line.startsWith("#")));
}

/** `K=V` or `K`, whose value is empty. */
export function labels(words: readonly string[]): Record<string, string> {
  return pairs(words, () => "");
}

/** `./notes:/data` is about the folder of whoever types it, not the manager's. */
export function absoluteSource(text: string): string {
  if (!/^(\.{1,2}(\/|:)|~\/)/.test(text)) return text;
  const [source = "", ...rest] = text.split(":");
  const path = source.startsWith("~/") ? resolve(process.env.HOME ?? "/", source.slice(2)) : resolve(source);
  return [path, ...rest].join(":");
}

/** `K=V` as it is; what `K` alone means is the caller's business. */
function pairs(
  words: readonly string[],
  alone: (key: string) => string,
  value: (key: string, text: string) => string = (_, text) => text,
): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf("=");
      if (at < 0) return [word, alone(word)];
      return [word.slice(0, at), value(word.slice(0, at), word.slice(at + 1))];
    }),
  );
}

function fromHere(key: string): string {
  const value = process.env[key];
  if (value !== undefined) return value;
  throw new Fault("usage", `the environment has no ${key}`, {
    hint: `Set it here first, or write ${key}=VALUE with -e.`,
  });
}

/** A value on the command line would be in every process list: only the place of a secret may be there. */
function secretValue(key: string, text: string): string {
  if (!text.startsWith("@")) {
    throw new Fault("usage", `the value of the secret ${key} must not be on the command line`, {
      hint: `Use --secret ${key} (from the environment) or --secret ${key}=@FILE.`,
    });
  }
  return readText(text.slice(1)).replace(/\r?\n$/, "");
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new Fault("usage", `${file} cannot be read`, { cause });
  }
}
