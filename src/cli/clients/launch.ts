/** What a client is told to start, and how an entry is recognised as ours. */
import { realpathSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { COMPILED } from "../../base/version.ts";
import { type Data, isData } from "../edit/editor.ts";
import type { Launch } from "./table.ts";

/** The name of the entry that stands for all servers. */
export const GATEWAY_NAME = "linkspan";

/** What a client that was started from a desktop would not know of the environment in which it is set up. */
const CARRIED = ["LINKSPAN_DATA_DIR", "LINKSPAN_CONFIG", "DOCKER_HOST"];
const PATHS = new Set(["LINKSPAN_DATA_DIR", "LINKSPAN_CONFIG"]);

export function launchOf(name: string, server: string | undefined, env: Record<string, string | undefined>): Launch {
  const [command = "linkspan", ...before] = executable(env.PATH);
  const carried = CARRIED.flatMap((key) => {
    const value = env[key];
    return value ? [[key, PATHS.has(key) ? resolve(value) : value]] : [];
  });
  const args = [...before, "mcp", ...(server === undefined ? [] : [server])];
  return { name, command, args, env: Object.fromEntries(carried) };
}

/** The words that an entry of any client's form starts. */
export function wordsOf(entry: unknown): unknown[] {
  return isData(entry) ? [entry.command ?? entry.cmd, entry.args ?? []].flat() : [];
}

/** `…/linkspan mcp …`, or this very program from its source. */
export function isOurs(entry: unknown): boolean {
  const words = wordsOf(entry).filter((word) => typeof word === "string");
  const [program = "", first, second] = words;
  if (/^linkspan(\.exe)?$/i.test(program.split(/[\\/]/).at(-1) ?? "")) return first === "mcp";
  return first === source() && second === "mcp";
}

/** An entry that its user has added to keeps that; what we say wins. */
export function merged(before: unknown, ours: Data): Data {
  if (!isData(before)) return ours;
  const all: Data = { ...before, ...ours };
  for (const [key, value] of Object.entries(before)) {
    const mine = ours[key];
    if (isData(value) && isData(mine)) all[key] = { ...value, ...mine };
  }
  return all;
}

/** This program; by its link in PATH if that leads here, because the link stays when a new version comes. */
function executable(path: string | undefined): string[] {
  if (!COMPILED) return [process.execPath, source()];
  const inPath = Bun.which("linkspan", { PATH: path ?? "" });
  const isThis = inPath !== null && realpathSync(inPath) === realpathSync(process.execPath);
  return [isThis && basename(inPath) === "linkspan" ? inPath : process.execPath];
}

function source(): string {
  return join(import.meta.dir, "../../main.ts");
}
