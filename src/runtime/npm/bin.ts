/** Which program of an installed npm package is the server. */
import { readFile, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";

const path = v.pipe(v.string(), v.minLength(1));
const manifest = v.object({ bin: v.optional(v.union([path, v.record(v.string(), path)])) });

/**
 * The entry of a package, relative to the folder it is installed in: the one that is asked for, else its only
 * program, else the one named like the package. Faults: `unsupported` (no program, or several and none is meant),
 * `not-found` (no program of that name).
 */
export async function findBin(folder: string, name: string, wanted?: string): Promise<string> {
  const home = posix.join("node_modules", name);
  const text = await readFile(join(folder, home, "package.json"), "utf8").catch((cause) => {
    throw new Fault("not-found", `${name} is not installed completely`, { cause });
  });
  const bins = programs(name, text);
  const relative = choose(name, bins, wanted);
  const entry = posix.join(home, relative);
  if (posix.isAbsolute(relative) || !entry.startsWith(`${home}/`)) {
    throw new Fault("unsupported", `the program of ${name} lies outside the package: ${relative}`);
  }
  const isFile = await stat(join(folder, entry)).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile) throw new Fault("unsupported", `${name} names a program that it does not contain: ${relative}`);
  return entry;
}

/** Program's name → path inside the package. A plain `bin` has the package's name, without its scope. */
function programs(name: string, text: string): Map<string, string> {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    raw = undefined;
  }
  const parsed = v.safeParse(manifest, raw);
  if (!parsed.success) throw new Fault("unsupported", `the package.json of ${name} is invalid`);
  const { bin } = parsed.output;
  if (bin === undefined) return new Map();
  return new Map(typeof bin === "string" ? [[unscoped(name), bin]] : Object.entries(bin));
}

function choose(name: string, bins: Map<string, string>, wanted: string | undefined): string {
  const names = [...bins.keys()].toSorted().join(", ");
  if (wanted !== undefined) {
    const found = bins.get(wanted);
    if (found !== undefined) return found;
    throw new Fault("not-found", `${name} has no program ${JSON.stringify(wanted)}`, {
      hint: names === "" ? "it is a library, not a server" : `it has: ${names}`,
    });
  }
  // Two names of one file are one program.
  const [only, ...others] = new Set(bins.values());
  if (only === undefined) {
    throw new Fault("unsupported", `${name} has no program to run (no "bin" in its package.json)`, {
      hint: "it is a library, not a server; check the package's name",
    });
  }
  const found = others.length === 0 ? only : bins.get(unscoped(name));
  if (found !== undefined) return found;
  throw new Fault("unsupported", `${name} has several programs and none is named like it: ${names}`, {
    hint: `choose one with command: [${[...bins.keys()][0] ?? "NAME"}]`,
    data: { programs: [...bins.keys()] },
  });
}

function unscoped(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}
