/** Servers added to linkspan.yaml: lines at the end of its servers, everything else as it was. */
import { Fault } from "../../base/fault.ts";
import { configFault, type ConfigResult, parseConfig } from "../../model/config.ts";
import { type Found, readFound, replaceFound } from "../edit/careful.ts";
import { isData } from "../edit/editor.ts";
import { putLines, YAML_EDITOR } from "../edit/yaml.ts";
import type { Body } from "./draft.ts";
import { variablesIn } from "./references.ts";

export interface Configuration {
  file: string;
  found: Found;
  /** Names of the servers that it has. */
  names: Set<string>;
}

/** Fault `invalid` where the file is faulty already. */
export async function readConfiguration(file: string, env: Record<string, string | undefined>): Promise<Configuration> {
  const found = await readFound(file);
  const text = found.text ?? "";
  check(text, file, env);
  const data = YAML_EDITOR.read(text, file);
  const servers = isData(data) && isData(data.servers) ? Object.keys(data.servers) : [];
  return { file, found, names: new Set(servers) };
}

/** The whole new text, checked as the manager will check it. */
export function withServers(
  { file, found }: Configuration,
  servers: Record<string, Body>,
  env: Record<string, string | undefined>,
): string {
  const before = found.text ?? "";
  if (Object.keys(servers).length === 0) return before;
  const text = putLines(before, { keys: ["servers"], name: "" }, { ...servers });
  check(text, file, env);
  const [old, now] = [YAML_EDITOR.read(before, file), YAML_EDITOR.read(text, file)];
  const kept = isData(old) ? old : {};
  const expected = { ...kept, servers: { ...(isData(kept.servers) ? kept.servers : {}), ...servers } };
  if (Bun.deepEquals(now, expected)) return text;
  throw new Fault("unsupported", `${file} is laid out in a way that cannot be edited safely`, {
    hint: "Nothing was changed. --dry-run shows what to write by hand.",
  });
}

/** The path of the backup. */
export async function writeConfiguration({ found }: Configuration, text: string): Promise<string> {
  return replaceFound(found, text);
}

/** Why linkspan.yaml cannot have the server, if it cannot. */
export function problemWith(body: Body): string | undefined {
  const text = putLines("", { keys: ["servers"], name: "" }, { server: body });
  const result = parsed(text, "", {});
  const [error] = result.ok ? [] : result.errors;
  return error && `${error.path.replace(/^servers\.server\.?/, "")}: ${error.message}`;
}

/** Variables that are not set here do not make a file faulty: the manager may have them. */
function parsed(text: string, file: string, env: Record<string, string | undefined>): ConfigResult {
  const missing = variablesIn(text).filter((name) => env[name] === undefined);
  return parseConfig(text, file, { ...env, ...Object.fromEntries(missing.map((name) => [name, "1"])) });
}

function check(text: string, file: string, env: Record<string, string | undefined>): void {
  const result = parsed(text, file, env);
  if (!result.ok) throw configFault(result.errors);
}
