/** The name of a project. */
import { basename } from "node:path";
import { parseDocument } from "yaml";
import { Fault } from "../base/fault.ts";
import { interpolate, type Lookup } from "./interpolate.ts";
import type { ComposeText, LoadRequest } from "./load.ts";

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** What was asked for, else a variable, else what the last file says that says any, else the folder's. Faults: `invalid`. */
export function projectName(
  { projectName: asked, files }: LoadRequest,
  folder: string | undefined,
  lookup: Lookup,
): string {
  const named = files.map((file) => nameIn(file, lookup)).findLast((name) => name !== undefined);
  const name = asked ?? lookup("COMPOSE_PROJECT_NAME") ?? plain(named ?? (folder && basename(folder)));
  if (name !== undefined && NAME.test(name)) return name;
  throw new Fault("invalid", name === undefined ? "the project has no name" : "the project's name is not valid", {
    hint: "Give project_name, or write name: at the top of the file: lower-case letters, digits, - and _.",
  });
}

/** Undefined also where the file cannot be read: that is said when all of it is. */
function nameIn({ text }: ComposeText, lookup: Lookup): string | undefined {
  const document = parseDocument(text, { logLevel: "silent" });
  if (document.errors.length > 0) return undefined;
  const name: unknown = document.get("name");
  if (typeof name !== "string") return undefined;
  const expanded = interpolate(name, lookup);
  return expanded.ok ? expanded.text : undefined;
}

/** As `docker compose` makes a name of whatever a file or a folder is called. */
function plain(name: string | undefined): string | undefined {
  return name
    ?.toLowerCase()
    .replace(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "");
}
