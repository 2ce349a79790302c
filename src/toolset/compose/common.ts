/** What the compose tools share: which project is meant, and what no answer may show of it. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { findingsFault, loadProject } from "../../compose/load.ts";
import { seenContainers } from "../../compose/observe.ts";
import type { Seen } from "../../compose/plan.ts";
import { hide, type Project } from "../../compose/project.ts";
import type { Finding } from "../../compose/source.ts";
import { environment } from "../containers/arguments.ts";
import type { ToolCall } from "../tool.ts";
import { composeFiles, projectFiles, readText } from "./files.ts";

export const serviceName = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/, "expected a service's name"),
);
export const projectName = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, "expected lower-case letters, digits, - and _"),
  v.description("Instead of the file's name: or its folder"),
);
const content = v.pipe(v.string(), v.maxLength(1024 * 1024), v.description("The file's text, instead of file"));

/** Where a project comes from a file or a text. */
export const sourceFields = {
  file: v.optional(composeFiles),
  content: v.optional(content),
  project_name: v.optional(projectName),
  profiles: v.optional(v.pipe(v.array(serviceName), v.maxLength(64)), []),
  env: v.optional(v.pipe(environment, v.description("For ${NAME} in the file, over .env beside it")), {}),
};
export const services = v.optional(
  v.pipe(v.array(serviceName), v.maxLength(256), v.description("All where none is named")),
  [],
);
/** What `v.check` is to say where it is not so. */
export const ONE_SOURCE = "expected either file or content";
export const ONE_PROJECT = "expected project_name or file";

export function hasOneSource({ file, content: text }: Pick<SourceInput, "file" | "content">) {
  return (file === undefined) !== (text === undefined);
}

export function hasProject(asked: Pick<SourceInput, "file" | "project_name">) {
  return asked.file !== undefined || asked.project_name !== undefined;
}

export interface SourceInput {
  file?: string | string[] | undefined;
  content?: string | undefined;
  project_name?: string | undefined;
  profiles: string[];
  env: Record<string, string>;
}

type Read = { ok: true; project: Project } | { ok: false; findings: Finding[] };

/** Faults: `not-found`, `forbidden`, `invalid` of a file that cannot be read at all. */
export async function readProject(input: SourceInput, call: ToolCall, named?: readonly string[]): Promise<Read> {
  const { file, content: given = "", project_name: name, profiles, env } = input;
  const read = (path: string) => readText(path, call.settings);
  const loaded = await loadProject({
    files: file === undefined ? [{ text: given }] : await projectFiles(file, { env, read }, call.settings),
    env,
    profiles,
    services: named,
    projectName: name,
    allowPrivileged: call.settings.allowPrivileged,
    read,
  });
  if (loaded.ok) return loaded;
  const findings = loaded.findings.map((found) => ({ ...found, message: hide(found.message, loaded.hidden) }));
  return { ok: false, findings };
}

/** Faults: `forbidden`, `invalid`, `unsupported`, with the line of the first finding. */
export async function projectOf(input: SourceInput, call: ToolCall, named?: readonly string[]): Promise<Project> {
  const read = await readProject(input, call, named);
  if (!read.ok) throw findingsFault(read.findings);
  for (const name of named ?? []) requireService(name, [...read.project.services.keys()]);
  return read.project;
}

export function requireService(name: string, known: readonly string[]): void {
  if (known.includes(name)) return;
  throw new Fault("not-found", `the project has no service ${name}`, {
    hint: known.length > 0 ? `It has ${known.join(", ")}.` : "docker_compose_ps shows what it has.",
  });
}

/** Whatever fails: without what came out of the project's variables. */
export async function hiding<T>(project: Project, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const { kind, message, hint, data } = Fault.from(error);
    throw new Fault(kind, hide(message, project.hidden), {
      ...(hint === undefined ? {} : { hint: hide(hint, project.hidden) }),
      ...(data === undefined ? {} : { data }),
    });
  }
}

/** The project by its name, or by the file that says it. */
export const runningFields = {
  project_name: v.optional(v.pipe(projectName, v.description("The project as docker_compose_ps shows it"))),
  file: v.optional(v.pipe(composeFiles, v.description("The project's file, files or folder, instead of its name"))),
};
/** Faults: `not-found`. */
export async function nameOfProject(
  { file, project_name: name }: Pick<SourceInput, "file" | "project_name">,
  call: ToolCall,
): Promise<string> {
  if (name !== undefined) return name;
  return (await projectOf({ file, profiles: ["*"], env: {} }, call)).name;
}

/** Its containers, of the services that are named. Faults: `not-found` where there are none. */
export async function containersOf(project: string, names: readonly string[], call: ToolCall): Promise<Seen[]> {
  const found = await seenContainers(await call.engine(), project, call.deadline);
  if (found.length === 0)
    throw new Fault("not-found", `there are no containers of a project ${project}`, {
      hint: "docker_compose_ps without arguments lists the projects; docker_compose_up makes one.",
    });
  const known = [...new Set(found.map(({ service }) => service))];
  for (const name of names) requireService(name, known);
  return names.length === 0 ? found : found.filter(({ service }) => names.includes(service));
}
