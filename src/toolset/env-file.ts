/** `--env-file FILE`: the settings of a client's configuration, read only where it was asked for. */
import { readFileSync } from "node:fs";
import { Fault } from "../base/fault.ts";
import type { Environment } from "../docker/endpoint.ts";

const LINE = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/;

/** The environment with what the file adds; what is set already stays. Faults: `usage`, with the line and never its value. */
export function withEnvFile(env: Environment, file: string): Environment {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new Fault("usage", `--env-file: ${file} cannot be read`, { cause });
  }
  return { ...parseEnvFile(text, file), ...env };
}

/** `NAME=value`, quoted or not, with comments. Nothing is expanded. */
export function parseEnvFile(text: string, file: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, name, value] = LINE.exec(line) ?? [];
    if (name === undefined || value === undefined)
      throw new Fault("usage", `--env-file: line ${index + 1} of ${file} is not NAME=value`);
    found[name] = unquoted(value);
  }
  return found;
}

function unquoted(value: string): string {
  const [, quote, inside] = /^(["'])(.*)\1(?:\s+#.*)?$/.exec(value) ?? [];
  if (inside === undefined) return value.replace(/\s+#.*$/, "");
  return quote === '"' ? inside.replace(/\\n/g, "\n").replace(/\\(["\\])/g, "$1") : inside;
}
