/**
 * Compose files and what they refer to → a project. Reading files is the caller's: it knows which may be read.
 */
import { basename, dirname, isAbsolute, resolve } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { issueFault } from "../model/issues.ts";
import { assemble } from "./assemble.ts";
import { parseDotenv, parseRaw } from "./dotenv.ts";
import type { Lookup } from "./interpolate.ts";
import { projectName } from "./names.ts";
import type { Part } from "./part.ts";
import type { Project, Service } from "./project.ts";
import { refuse } from "./refused.ts";
import { document } from "./schema.ts";
import type { ParsedService } from "./service-schema.ts";
import { type Finding, isRecord, type Path, Source } from "./source.ts";
import { readUnit } from "./unit.ts";

const FILES_MAX = 32;
const DOCUMENTS_MAX = 8;
const ENV_FILES_MAX = 64;

export interface ComposeText {
  text: string;
  /** Canonical; absent where the text comes alone, and then it can refer to no file. */
  path?: string | undefined;
}

export interface LoadRequest {
  /** One at least. The others are laid over the first, in their order; its folder is the project's. */
  files: readonly ComposeText[];
  /** For `${NAME}`, over what `.env` beside the first file says. */
  env: Readonly<Record<string, string>>;
  profiles: readonly string[];
  /** Active whatever their profiles, with what they depend on. */
  services?: readonly string[] | undefined;
  projectName?: string | undefined;
  allowPrivileged: boolean;
  /** The text of a file. Faults: `forbidden`, `not-found`. */
  read(path: string): Promise<string>;
}

export type Loaded = { ok: true; project: Project } | { ok: false; findings: Finding[]; hidden: ReadonlySet<string> };

/** Faults: those of `read`. What is wrong with the files themselves is in the findings. */
export async function loadProject(request: LoadRequest): Promise<Loaded> {
  const loader = new Loader(request);
  const project = await loader.load();
  if (project && loader.findings.length === 0) return { ok: true, project };
  return { ok: false, findings: loader.findings, hidden: loader.hidden };
}

/** The fault of the worst finding, with all of them in its data. */
export function findingsFault(findings: readonly Finding[]): Fault {
  const worst = findings.find(({ kind }) => kind === "forbidden") ?? findings[0];
  if (!worst) return new Fault("internal", "the file was refused without a reason");
  const { kind, file, line, column, path, message, hint } = worst;
  return new Fault(kind, `${file}:${line}:${column}: ${path === "" ? "" : `${path}: `}${message}`, {
    ...(hint === undefined ? {} : { hint }),
    data: { findings },
  });
}

export class Loader {
  readonly hidden = new Set<string>();
  /** The project's; known before anything else is, for files refer to it. */
  name = "";
  private readonly sources: Source[] = [];
  private dotenv: ReadonlyMap<string, string> = new Map();
  private envFiles = 0;

  constructor(readonly request: LoadRequest) {}

  get findings(): Finding[] {
    return this.sources.flatMap((source) => source.findings.toSorted((left, right) => left.line - right.line));
  }

  get unset(): string[] {
    return [...new Set(this.sources.flatMap((source) => [...source.unset]))];
  }

  /** What is given, over `.env`. */
  readonly lookup: Lookup = (name) =>
    Object.hasOwn(this.request.env, name) ? this.request.env[name] : this.dotenv.get(name);

  async load(): Promise<Project | undefined> {
    const { files } = this.request;
    const folder = files[0]?.path === undefined ? undefined : dirname(files[0].path);
    if (folder !== undefined)
      this.dotenv = await this.variables([resolve(folder, ".env")], true, (name) => this.request.env[name]);
    this.name = projectName(this.request, folder, this.lookup);
    const lookup: Lookup = (name) => (name === "COMPOSE_PROJECT_NAME" ? this.name : this.lookup(name));
    const root = await readUnit(this, { files, folder, lookup, above: [] });
    if (!root || this.findings.length > 0) return undefined;
    this.hidden.delete(this.name);
    return assemble(this, root);
  }

  /** `environment` over `env_file`; names alone take their value from the project's variables. */
  async environment(part: Part, name: string, service: ParsedService): Promise<Service["environment"]> {
    const values: Service["environment"] = {};
    for (const { path, required, format } of service.env_file ?? []) {
      const where = ["services", name, "env_file"];
      if ((this.envFiles += 1) > ENV_FILES_MAX) this.fail(part, where, "too many env_files");
      // Said already: a text by itself has no files beside it.
      if (!isAbsolute(path)) continue;
      const text = await this.request.read(path).catch((error: unknown) => {
        if (!required && error instanceof Fault && error.kind === "not-found") return undefined;
        throw error;
      });
      if (text === undefined) continue;
      const parsed = format === "raw" ? parseRaw(text, this.lookup) : parseDotenv(text, this.lookup);
      if (parsed.ok) Object.assign(values, parsed.values);
      else this.fail(part, where, `${basename(path)}:${parsed.line}: ${parsed.message}`);
    }
    for (const [variable, value] of Object.entries(service.environment ?? {})) {
      values[variable] = value ?? this.lookup(variable) ?? null;
    }
    for (const value of Object.values(values)) if (value !== null && value.length >= 3) this.hidden.add(value);
    this.hidden.delete(this.name);
    return values;
  }

  fail(part: Pick<Part, "source">, path: Path, message: string, hint?: string): undefined {
    part.source.find("invalid", path, message, hint);
    return undefined;
  }

  /** What `.env` files say, the last over the first. Faults: those of `read`, `invalid`. */
  async variables(paths: readonly string[], optional: boolean, outer: Lookup): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (const path of paths) {
      const text = await this.request.read(path).catch((error: unknown) => {
        if (optional && error instanceof Fault && error.kind === "not-found") return "";
        throw error;
      });
      const parsed = parseDotenv(text, (name) => outer(name) ?? found.get(name));
      if (!parsed.ok) throw new Fault("invalid", `${path}:${parsed.line}: ${parsed.message}`);
      for (const [name, value] of Object.entries(parsed.values)) found.set(name, value);
    }
    return found;
  }

  /**
   * A file by itself, as it stands: its documents. Undefined where it is none: the findings say why. What is laid over others
   * may have fields that say nothing.
   */
  parts(file: ComposeText, folder: string | undefined, lookup: Lookup, over = false): Part[] | undefined {
    const parts: Part[] = [];
    for (let index = 0, count = 1; index < count; index += 1) {
      const source = new Source(file.path ?? "content", file.text, lookup, index);
      const part = this.part(source, file.path, { folder, lookup, over: over || index > 0 });
      if (!part) return undefined;
      parts.push(part);
      count = source.documents;
      if (count > DOCUMENTS_MAX) return this.fail({ source }, [], `more than ${DOCUMENTS_MAX} documents in one file`);
    }
    return parts;
  }

  private part(
    source: Source,
    path: string | undefined,
    { folder, lookup, over }: Pick<Part, "folder" | "lookup"> & { over: boolean },
  ): Part | undefined {
    this.sources.push(source);
    if (this.sources.length > FILES_MAX) return this.fail({ source }, [], `more than ${FILES_MAX} files`);
    const tree = source.read();
    for (const value of source.used) this.hidden.add(value);
    if (source.findings.length > 0) return undefined;
    if (over) dropNulls(tree);
    refuse(tree, source, this.request.allowPrivileged);
    const parsed = v.safeParse(document, tree);
    if (parsed.success) return { source, folder, path, lookup, removed: source.removed, document: parsed.output };
    const { hint, data } = issueFault(document, parsed.issues, "the file");
    const issues = v.parse(v.array(v.object({ path: v.string(), message: v.string() })), data?.["issues"]);
    issues.forEach((issue, index) =>
      source.find("invalid", issue.path.split("."), issue.message, index === 0 ? hint : undefined),
    );
    return undefined;
  }
}

/** But for those that take the image's own away. */
function dropNulls(tree: unknown): void {
  const services = isRecord(tree) && isRecord(tree["services"]) ? Object.values(tree["services"]) : [];
  for (const service of services.filter(isRecord))
    for (const [name, value] of Object.entries(service))
      if (value === null && name !== "command" && name !== "entrypoint") delete service[name];
}
