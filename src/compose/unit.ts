/** Files that make one: each with what it includes and extends, laid over each other. */
import { dirname, isAbsolute, resolve } from "node:path";
import type { Lookup } from "./interpolate.ts";
import type { ComposeText, Loader } from "./load.ts";
import { layered, mergeDocuments, mergeServices, overlay } from "./merge.ts";
import type { Part } from "./part.ts";
import type { Include, ParsedDocument, ParsedFile } from "./schema.ts";
import type { ParsedService } from "./service-schema.ts";
import { mapValues } from "./source.ts";

interface UnitRequest {
  files: readonly ComposeText[];
  folder: string | undefined;
  lookup: Lookup;
  /** Files that have included this one. */
  above: readonly string[];
}

/** Undefined where one of them cannot be read: the findings say why. */
export async function readUnit(loader: Loader, { files, folder, lookup, above }: UnitRequest) {
  const all = files.map((file, index) => loader.parts(file, folder, lookup, index > 0));
  let whole: Part | undefined;
  for (const parts of all) {
    for (const part of parts ?? []) {
      const complete = await extended(loader, await withIncluded(loader, part, above));
      whole = whole ? overlay(whole, complete) : complete;
    }
  }
  if (!whole || all.includes(undefined)) return undefined;
  const services = mapValues(inherited(whole.document.services, lookup), (service, name) =>
    withContext(loader, whole, service, name),
  );
  return { ...whole, document: { ...whole.document, services } };
}

/** Where none of the files says what a build is made from: all of the folder. A text by itself has an inline Dockerfile at most. */
function withContext(loader: Loader, whole: Part, service: ParsedService, name: string): ParsedService {
  const { build } = service;
  if (!build || build.context !== undefined) return service;
  if (whole.folder !== undefined) return { ...service, build: { ...build, context: whole.folder } };
  if (build.dockerfile_inline === undefined)
    loader.fail(whole, ["services", name, "build"], "a text by itself has no folder to build from", WRITE_FIRST);
  return service;
}

const WRITE_FIRST = "Use docker_compose_write_file first, and give its file.";

/** Names alone take their value where the file stands, before another includes it. */
function inherited(services: ParsedDocument["services"], lookup: Lookup): ParsedDocument["services"] {
  const known = (values: Record<string, string | null>) =>
    mapValues(values, (value, name) => value ?? lookup(name) ?? null);
  return mapValues(services, ({ environment, build, ...service }) => ({
    ...service,
    ...(environment ? { environment: known(environment) } : {}),
    ...(build ? { build: { ...build, args: known(build.args) } } : {}),
  }));
}

/** What the file says itself is over what it includes. */
async function withIncluded(loader: Loader, part: Part, above: readonly string[]): Promise<Part> {
  const { include = [], ...own } = part.document;
  let whole: Part = { ...part, document: own };
  for (const [index, entry] of include.entries()) {
    const unit = await included(loader, part, entry, ["include", index], above);
    if (!unit) continue;
    const document = mergeDocuments(unit.document, whole.document, part.removed);
    whole = { ...whole, document, source: layered([whole.source, unit.source]) };
  }
  return whole;
}

async function included(
  loader: Loader,
  part: Part,
  { path: paths, project_directory, env_file }: Include,
  at: (string | number)[],
  above: readonly string[],
): Promise<Part | undefined> {
  const { folder: base } = part;
  if (base === undefined) return loader.fail(part, at, "a text by itself has no files beside it");
  const [first, ...others] = paths.map((path) => resolve(base, path));
  if (first === undefined) return undefined;
  if (above.includes(first) || first === part.path) return loader.fail(part, at, "it includes itself");
  const folder = project_directory === undefined ? dirname(first) : resolve(base, project_directory);
  const variables = await loader.variables(
    env_file?.map((path) => resolve(base, path)) ?? [resolve(folder, ".env")],
    env_file === undefined,
    part.lookup,
  );
  const lookup: Lookup = (name) => part.lookup(name) ?? variables.get(name);
  const files: ComposeText[] = [];
  for (const path of [first, ...others]) files.push({ path, text: await loader.request.read(path) });
  return readUnit(loader, { files, folder, lookup, above: part.path === undefined ? above : [...above, part.path] });
}

/** Without `extends` and relative paths. */
async function extended(loader: Loader, part: Part): Promise<Part> {
  const services: ParsedDocument["services"] = {};
  const others = new Map<string, Part | undefined>();
  for (const name of Object.keys(part.document.services)) {
    const { extends: _, ...service } = (await serviceOf(loader, part, name, [], others)) ?? {};
    services[name] = service;
  }
  const placed = (file: ParsedFile) =>
    file.file === undefined || part.folder === undefined ? file : { ...file, file: resolve(part.folder, file.file) };
  const { secrets, configs } = part.document;
  return {
    ...part,
    document: {
      ...part.document,
      services,
      secrets: mapValues(secrets, placed),
      configs: mapValues(configs, placed),
    },
  };
}

async function serviceOf(
  loader: Loader,
  part: Part,
  name: string,
  seen: readonly string[],
  others: Map<string, Part | undefined>,
): Promise<ParsedService | undefined> {
  const own = part.document.services[name];
  if (!own) return undefined;
  const placed = resolvePaths(own, part, name);
  if (!own.extends) return placed;
  const path = ["services", name, "extends"];
  const { service: base, file } = own.extends;
  const mark = `${part.path} ${name}`;
  if (seen.includes(mark)) return loader.fail(part, path, "it extends itself");
  const other = file === undefined ? part : await beside(loader, part, file, path, others);
  if (!other) return undefined;
  const found = await serviceOf(loader, other, base, [...seen, mark], others);
  if (found) return mergeServices(found, placed);
  return other.document.services[base] ? undefined : loader.fail(part, path, `there is no service ${base}`);
}

async function beside(
  loader: Loader,
  part: Part,
  file: string,
  at: string[],
  others: Map<string, Part | undefined>,
): Promise<Part | undefined> {
  if (part.folder === undefined) return loader.fail(part, at, "a text by itself has no files beside it");
  const path = resolve(part.folder, file);
  if (path === part.path) return part;
  if (!others.has(path))
    others.set(path, loader.parts({ path, text: await loader.request.read(path) }, dirname(path), part.lookup)?.[0]);
  return others.get(path);
}

/** Paths are relative to the file in which they stand, also where another extends it. */
function resolvePaths(service: ParsedService, { folder, source }: Part, name: string): ParsedService {
  const place = (path: string, field: string): string => {
    if (isAbsolute(path)) return path;
    if (folder !== undefined) return resolve(folder, path);
    source.find("invalid", ["services", name, field], "a text by itself has no folder for relative paths", WRITE_FIRST);
    return path;
  };
  const { build, volumes, env_file } = service;
  return {
    ...service,
    ...(build?.context === undefined ? {} : { build: { ...build, context: place(build.context, "build") } }),
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
