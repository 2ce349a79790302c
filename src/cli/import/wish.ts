/** What other programs have configured: one form for all of theirs. */
import { extname } from "node:path";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { isOurs, wordsOf } from "../clients/launch.ts";
import { EDITORS } from "../clients/setup.ts";
import { type Client, CLIENTS } from "../clients/table.ts";
import { readFound } from "../edit/careful.ts";
import { isData } from "../edit/editor.ts";
import { toReferences } from "./references.ts";

/** A server as somebody else starts it; texts are in linkspan.yaml's form, references included. */
export interface Wish {
  name: string;
  /** The program and its arguments; empty where there is none. */
  words: string[];
  env: Record<string, string>;
  cwd?: string;
  /** It is somewhere else, and clients connect to it. */
  url?: string;
  disabled: boolean;
  /** It starts Linkspan. */
  ours: boolean;
}

/** Where servers are, in the order in which a file is searched; the keys of all known clients and two older ones. */
const CONTAINERS: string[][] = [["mcp", "servers"], ...CLIENTS.map(({ keys }) => keys), ["mcp", "mcpServers"]].filter(
  (keys, at, all) => all.findIndex((other) => other.join() === keys.join()) === at,
);

const text = v.union([v.string(), v.pipe(v.union([v.number(), v.boolean()]), v.transform(String))]);
const entrySchema = v.object({
  name: v.optional(v.string()),
  command: v.optional(v.union([v.string(), v.array(v.string())])),
  cmd: v.optional(v.string()),
  args: v.optional(v.nullable(v.array(text))),
  env: v.optional(v.nullable(v.record(v.string(), v.nullable(text)))),
  envs: v.optional(v.nullable(v.record(v.string(), v.nullable(text)))),
  environment: v.optional(v.nullable(v.record(v.string(), v.nullable(text)))),
  cwd: v.optional(v.nullable(v.string())),
  url: v.optional(v.string()),
  serverUrl: v.optional(v.string()),
  httpUrl: v.optional(v.string()),
  uri: v.optional(v.string()),
  disabled: v.optional(v.boolean()),
  enabled: v.optional(v.boolean()),
});

/** Faults: those of reading a file; `not-found` without one; `invalid` where it has no servers. */
export async function readWishes(file: string, client?: Client): Promise<Wish[]> {
  const { text: content } = await readFound(file);
  if (content === undefined)
    throw new Fault("not-found", `there is no file ${file}`, {
      hint: "linkspan client ls shows where clients keep theirs.",
    });
  const format = client?.format ?? formatOf(file);
  const found = containerOf(EDITORS[format].read(content, file));
  if (!found) {
    throw new Fault("invalid", `${file} has no MCP servers`, {
      hint: `Looked for ${CONTAINERS.map((keys) => keys.join(".")).join(", ")}.`,
    });
  }
  return found.map(([name, entry]) => wishOf(name, entry, file));
}

function formatOf(file: string): Client["format"] {
  const extension = extname(file).toLowerCase();
  return extension === ".toml" ? "toml" : extension === ".yaml" || extension === ".yml" ? "yaml" : "json";
}

function containerOf(data: unknown): [string, unknown][] | undefined {
  for (const keys of CONTAINERS) {
    const here = keys.reduce<unknown>((inner, key) => (isData(inner) ? inner[key] : undefined), data);
    if (Array.isArray(here))
      return here.map((item: unknown, at) => [
        isData(item) && typeof item.name === "string" ? item.name : `server-${at + 1}`,
        item,
      ]);
    if (isData(here)) return Object.entries(here).filter(([, entry]) => isData(entry));
  }
  return undefined;
}

function wishOf(name: string, entry: unknown, file: string): Wish {
  const parsed = v.safeParse(entrySchema, entry);
  if (!parsed.success) {
    const path = v.getDotPath(parsed.issues[0]) ?? "";
    throw new Fault("invalid", `${file}: the server ${JSON.stringify(name)} has something unexpected at ${path}`);
  }
  const { env, envs, environment, cwd, url, serverUrl, httpUrl, uri, disabled, enabled } = parsed.output;
  const values = Object.entries({ ...env, ...envs, ...environment });
  const address = url ?? serverUrl ?? httpUrl ?? uri;
  return {
    name,
    words: wordsOf(parsed.output)
      .filter((word) => typeof word === "string")
      .map(toReferences),
    env: Object.fromEntries(values.map(([key, value]) => [key, toReferences(value ?? "")])),
    ...(cwd ? { cwd: toReferences(cwd) } : {}),
    ...(address === undefined ? {} : { url: address }),
    disabled: disabled === true || enabled === false,
    ours: isOurs(entry),
  };
}
