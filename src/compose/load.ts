/**
 * A compose file and what it refers to → a project. Reading files is the caller's: it knows which may be read.
 */
import { basename, dirname, isAbsolute, resolve } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { issueFault } from "../model/issues.ts";
import { parseDotenv } from "./dotenv.ts";
import type { Lookup } from "./interpolate.ts";
import { mergeServices } from "./merge.ts";
import type { Project } from "./project.ts";
import { refuse } from "./refused.ts";
import { assemble } from "./assemble.ts";
import { document, type ParsedDocument } from "./schema.ts";
import type { ParsedService } from "./service-schema.ts";
import { type Finding, type Path, Source } from "./source.ts";

const INCLUDES_MAX = 32;
const ENV_FILES_MAX = 64;

export interface LoadRequest {
  text: string;
  /** Of the file, canonical; absent where the text comes alone, and then it can refer to no file. */
  path?: string | undefined;
  /** For `${NAME}`, over what `.env` beside the file says. */
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

/** A file that was read: what it says, and where it says it. */
export interface Part {
  source: Source;
  folder: string | undefined;
  path: string | undefined;
  document: ParsedDocument;
}

export class Loader {
  readonly hidden = new Set<string>();
  private readonly sources: Source[] = [];
  private readonly parts = new Map<string, Part | undefined>();
  private readonly dotenv = new Map<string, string>();
  private envFiles = 0;

  constructor(readonly request: LoadRequest) {}

  get findings(): Finding[] {
    return this.sources.flatMap((source) => source.findings.toSorted((left, right) => left.line - right.line));
  }

  get files(): string[] {
    return [...this.parts.keys()];
  }

  get unset(): string[] {
    return [...new Set(this.sources.flatMap((source) => [...source.unset]))];
  }

  readonly lookup: Lookup = (name) =>
    Object.hasOwn(this.request.env, name) ? this.request.env[name] : this.dotenv.get(name);

  async load(): Promise<Project | undefined> {
    const { text, path } = this.request;
    if (path !== undefined) await this.readDotenv(dirname(path));
    const root = this.part(text, path);
    if (!root) return undefined;
    const parts = await this.withIncluded(root);
    if (this.findings.length > 0) return undefined;
    return assemble(this, parts);
  }

  /** The service with what it extends and the variables of its files. */
  async service(part: Part, name: string, seen: readonly string[] = []): Promise<ParsedService | undefined> {
    const own = part.document.services[name];
    if (!own) return undefined;
    const placed = resolvePaths(own, part, name);
    if (!own.extends) return placed;
    const path = ["services", name, "extends"];
    const { service: base, file } = own.extends;
    const mark = `${part.path} ${name}`;
    if (seen.includes(mark)) return this.fail(part, path, "it extends itself");
    const other = file === undefined ? part : await this.beside(part, file, path);
    const found = other && (await this.service(other, base, [...seen, mark]));
    if (found) return mergeServices(found, placed);
    if (other && !other.document.services[base]) this.fail(part, path, `there is no service ${base}`);
    return undefined;
  }

  /** `environment` over `env_file`; names alone take their value from the project's variables. */
  async environment(part: Part, name: string, service: ParsedService): Promise<Record<string, string>> {
    const values: Record<string, string> = {};
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
      const parsed = parseDotenv(format === "raw" ? text.replaceAll("$", "$$$$") : text, this.lookup);
      if (parsed.ok) Object.assign(values, parsed.values);
      else this.fail(part, where, `${basename(path)}:${parsed.line}: ${parsed.message}`);
    }
    for (const [variable, value] of Object.entries(service.environment ?? {})) {
      const found = value ?? this.lookup(variable);
      if (found !== undefined) values[variable] = found;
    }
    for (const value of Object.values(values)) if (value.length >= 3) this.hidden.add(value);
    return values;
  }

  fail(part: Part, path: Path, message: string, hint?: string): undefined {
    part.source.find("invalid", path, message, hint);
    return undefined;
  }

  private async readDotenv(folder: string): Promise<void> {
    const path = resolve(folder, ".env");
    const text = await this.request.read(path).catch((error: unknown) => {
      if (error instanceof Fault && error.kind === "not-found") return "";
      throw error;
    });
    const parsed = parseDotenv(text, (name) => this.request.env[name]);
    if (!parsed.ok) throw new Fault("invalid", `${path}:${parsed.line}: ${parsed.message}`);
    for (const [name, value] of Object.entries(parsed.values)) this.dotenv.set(name, value);
  }

  private part(text: string, path: string | undefined): Part | undefined {
    const source = new Source(path ?? "content", text, this.lookup);
    this.sources.push(source);
    const tree = source.read();
    for (const value of source.used) this.hidden.add(value);
    if (source.findings.length > 0) return undefined;
    refuse(tree, source, this.request.allowPrivileged);
    const parsed = v.safeParse(document, tree);
    if (!parsed.success) {
      const { hint, data } = issueFault(document, parsed.issues, "the file");
      const issues = v.parse(v.array(v.object({ path: v.string(), message: v.string() })), data?.["issues"]);
      issues.forEach((issue, index) =>
        source.find("invalid", issue.path.split("."), issue.message, index === 0 ? hint : undefined),
      );
      return undefined;
    }
    const folder = path === undefined ? undefined : dirname(path);
    const part = { source, folder, path, document: parsed.output };
    if (path !== undefined) this.parts.set(path, part);
    return part;
  }

  private async beside(part: Part, file: string, at: Path): Promise<Part | undefined> {
    if (part.folder === undefined) return this.fail(part, at, "a text by itself has no files beside it");
    const path = resolve(part.folder, file);
    if (this.parts.has(path)) return this.parts.get(path);
    if (this.parts.size >= INCLUDES_MAX) return this.fail(part, at, `more than ${INCLUDES_MAX} files`);
    this.parts.set(path, undefined);
    return this.part(await this.request.read(path), path);
  }

  private async withIncluded(root: Part): Promise<Part[]> {
    const found = [root];
    for (const part of found) {
      for (const [index, paths] of (part.document.include ?? []).entries()) {
        for (const path of paths) {
          const other = await this.beside(part, path, ["include", index]);
          if (other && !found.includes(other)) found.push(other);
        }
      }
    }
    return found;
  }
}

/** Paths are relative to the file in which they stand, also where another extends it. */
function resolvePaths(service: ParsedService, { folder, source }: Part, name: string): ParsedService {
  const place = (path: string, field: string): string => {
    if (isAbsolute(path)) return path;
    if (folder !== undefined) return resolve(folder, path);
    source.find(
      "invalid",
      ["services", name, field],
      "a text by itself has no folder for relative paths",
      "Use docker_compose_write_file first, and give its file.",
    );
    return path;
  };
  const { build, volumes, env_file } = service;
  const inline = build?.dockerfile_inline !== undefined && build.context === undefined;
  return {
    ...service,
    ...(build && !inline ? { build: { ...build, context: place(build.context ?? ".", "build") } } : {}),
    ...(volumes
      ? {
          volumes: volumes.map((use) =>
            use.type === "bind" ? { ...use, source: place(use.source ?? "", "volumes") } : use,
          ),
        }
      : {}),
    ...(env_file ? { env_file: env_file.map((one) => ({ ...one, path: place(one.path, "env_file") })) } : {}),
  };
}
