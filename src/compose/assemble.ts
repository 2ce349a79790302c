/** The parts of a project, put together: names, profiles, and whether all that is referred to is there. */
import { basename, isAbsolute, resolve } from "node:path";
import { Fault } from "../base/fault.ts";
import { ISOLATED_DRIVERS, NETWORK_OPTIONS, PRIVILEGED_DRIVERS } from "../docker/network-rules.ts";
import { driverOptions } from "../docker/volume-rules.ts";
import * as v from "valibot";
import type { Loader, Part } from "./load.ts";
import { inOrder } from "./order.ts";
import type { Network, Project, Service, Volume } from "./project.ts";
import type { ParsedFile, ParsedNetwork, ParsedVolume } from "./schema.ts";
import type { ParsedService } from "./service-schema.ts";

export async function assemble(loader: Loader, parts: readonly Part[]): Promise<Project | undefined> {
  const [root] = parts;
  if (!root) return undefined;
  const name = projectName(loader, root);
  const services = new Map<string, { part: Part; service: Service }>();
  for (const part of parts) {
    for (const key of Object.keys(part.document.services)) {
      const parsed = await loader.service(part, key);
      const service = parsed && (await finished(loader, part, name, key, parsed));
      if (!service) continue;
      if (services.has(key)) loader.fail(part, ["services", key], "a file that is included has this service, too");
      services.set(key, { part, service });
    }
  }
  const networks = gather(
    loader,
    parts,
    "networks",
    (part) => part.document.networks,
    (network, part, key) => networkOf(loader, network, part, name, key),
  );
  const volumes = gather(
    loader,
    parts,
    "volumes",
    (part) => part.document.volumes,
    (volume, part, key) => volumeOf(volume, part, name, key),
  );
  const active = activeOf(loader, services);
  const used = [...services].filter(([key]) => active.has(key));
  if (used.some(([, { service }]) => "default" in service.networks) && !networks.has("default"))
    networks.set("default", {
      ...networkOf(loader, { ...NETWORK }, root, name, "default"),
    });
  const project: Project = {
    name,
    folder: root.folder,
    files: root.path === undefined ? [] : [root.path],
    services: new Map(used.map(([key, { service }]) => [key, service])),
    inactive: new Set([...services.keys()].filter((key) => !active.has(key))),
    networks,
    volumes,
    secrets: gather(
      loader,
      parts,
      "secrets",
      (part) => part.document.secrets,
      (file, part, key) => fileOf(loader, file, part, ["secrets", key]),
    ),
    configs: gather(
      loader,
      parts,
      "configs",
      (part) => part.document.configs,
      (file, part, key) => fileOf(loader, file, part, ["configs", key]),
    ),
    hidden: hiddenOf(loader, name, [...services.keys(), ...networks.keys(), ...volumes.keys()]),
    remarks: loader.unset.map((one) => `The variable ${one} is not set; nothing stands in its place.`),
  };
  for (const [key, { part, service }] of used) check(loader, part, key, service, project);
  if (loader.findings.length > 0) return undefined;
  const circle = inOrder(project).circle;
  if (circle) return loader.fail(root, ["services", circle, "depends_on"], "services wait for each other in a circle");
  return project;
}

/** Short values that are parts of names in the file would make the names unreadable, and nothing more secret. */
function hiddenOf({ hidden }: Loader, project: string, names: readonly string[]): Set<string> {
  const seen = [project, ...names];
  return new Set([...hidden].filter((value) => value.length >= 8 || !seen.some((name) => name.includes(value))));
}

const NETWORK: ParsedNetwork = {
  external: false,
  driver_opts: {},
  internal: false,
  attachable: false,
  enable_ipv6: false,
  labels: {},
};

function projectName(loader: Loader, { document, folder }: Part): string {
  const asked =
    loader.request.projectName ??
    loader.lookup("COMPOSE_PROJECT_NAME") ??
    document.name ??
    (folder === undefined
      ? undefined
      : basename(folder)
          .toLowerCase()
          .replace(/[^a-z0-9_-]/g, "")
          .replace(/^[_-]+/, ""));
  if (asked !== undefined && /^[a-z0-9][a-z0-9_-]{0,62}$/.test(asked)) return asked;
  throw new Fault("invalid", asked === undefined ? "the project has no name" : "the project's name is not valid", {
    hint: "Give project_name, or write name: at the top of the file: lower-case letters, digits, - and _.",
  });
}

async function finished(
  loader: Loader,
  part: Part,
  project: string,
  name: string,
  parsed: ParsedService,
): Promise<Service | undefined> {
  const { extends: _, env_file: __, environment: ___, ...rest } = parsed;
  const image = parsed.image ?? (parsed.build ? `${project}-${name}` : undefined);
  if (image === undefined) return loader.fail(part, ["services", name], "it has neither image nor build");
  const detached = parsed.network_mode !== undefined;
  if (detached && parsed.networks)
    return loader.fail(part, ["services", name, "networks"], "network_mode and networks exclude each other");
  const wanted = Object.keys(parsed.networks ?? {}).length > 0 ? parsed.networks : undefined;
  return {
    ...rest,
    name,
    image,
    environment: await loader.environment(part, name, parsed),
    networks: detached ? {} : (wanted ?? { default: { aliases: [], priority: 0 } }),
    depends_on: parsed.depends_on ?? {},
    replicas: parsed.scale ?? parsed.deploy?.replicas ?? 1,
  };
}

function gather<I, T>(
  loader: Loader,
  parts: readonly Part[],
  kind: string,
  itemsOf: (part: Part) => Record<string, I>,
  make: (item: I, part: Part, key: string) => T,
): Map<string, T> {
  const found = new Map<string, T>();
  for (const part of parts) {
    for (const [key, item] of Object.entries(itemsOf(part))) {
      if (found.has(key)) loader.fail(part, [kind, key], "a file that is included has this name, too");
      found.set(key, make(item, part, key));
    }
  }
  return found;
}

function networkOf(loader: Loader, network: ParsedNetwork, { source }: Part, project: string, key: string): Network {
  const path = ["networks", key];
  const { driver = "bridge", driver_opts, external, name = external ? key : `${project}_${key}` } = network;
  const isolated = v.is(v.picklist(ISOLATED_DRIVERS), driver);
  const privileged = loader.request.allowPrivileged && v.is(v.picklist(PRIVILEGED_DRIVERS), driver);
  if (!isolated && !privileged)
    source.find("forbidden", [...path, "driver"], "this driver puts containers on the host's network", "Use bridge.");
  const foreign = Object.keys(driver_opts).find((option) => !NETWORK_OPTIONS.has(option));
  if (foreign !== undefined)
    source.find(
      "forbidden",
      [...path, "driver_opts", foreign],
      `the option ${foreign} is not allowed`,
      `Allowed are ${[...NETWORK_OPTIONS].join(", ")}.`,
    );
  if (external && ["host", "bridge", "none"].includes(name))
    source.find("forbidden", path, "the engine's own networks are not joined", "Leave it out.");
  return { ...network, name };
}

function volumeOf(volume: ParsedVolume, { source }: Part, project: string, key: string): Volume {
  const { driver = "local", driver_opts, external, name = external ? key : `${project}_${key}` } = volume;
  if (driver !== "local")
    source.find("forbidden", ["volumes", key, "driver"], "only the engine's own volumes are allowed", "Use local.");
  const parsed = v.safeParse(driverOptions, driver_opts);
  if (!parsed.success)
    source.find(
      "forbidden",
      ["volumes", key, "driver_opts"],
      "these options make the volume a window onto the host",
      "Allowed is type: tmpfs, with o: size, uid, gid and mode.",
    );
  return { ...volume, driver_opts: parsed.success ? definedOnly(parsed.output) : {}, name };
}

function definedOnly(options: Record<string, string | undefined>): Record<string, string> {
  const defined: Record<string, string> = {};
  for (const [name, value] of Object.entries(options)) if (value !== undefined) defined[name] = value;
  return defined;
}

/** A file's path becomes absolute, a variable's value the content. */
function fileOf(loader: Loader, file: ParsedFile, part: Part, path: string[]): ParsedFile {
  if (file.environment !== undefined) {
    const content = loader.lookup(file.environment);
    if (content === undefined) loader.fail(part, path, `the variable ${file.environment} is not set`);
    else loader.hidden.add(content);
    return { ...file, content: content ?? "" };
  }
  if (file.content !== undefined) loader.hidden.add(file.content);
  if (file.file === undefined || isAbsolute(file.file)) return file;
  if (part.folder === undefined) loader.fail(part, path, "a text by itself has no files beside it");
  return { ...file, file: resolve(part.folder ?? "/", file.file) };
}

function activeOf(loader: Loader, services: ReadonlyMap<string, { service: Service }>): Set<string> {
  const { profiles, services: named = [] } = loader.request;
  const wanted = new Set([...profiles, ...(loader.lookup("COMPOSE_PROFILES") ?? "").split(",")]);
  const active = new Set<string>();
  const activate = (name: string) => {
    const service = services.get(name)?.service;
    if (!service || active.has(name)) return;
    active.add(name);
    for (const [other, { required }] of Object.entries(service.depends_on)) {
      const without = (services.get(other)?.service.profiles ?? []).length === 0;
      // What is named brings what it needs; else a profile that is not active keeps its services out.
      if (required && (without || named.includes(name))) activate(other);
    }
  };
  for (const [name, { service }] of services) {
    const own = service.profiles ?? [];
    if (own.length === 0 || wanted.has("*") || own.some((profile) => wanted.has(profile)) || named.includes(name))
      activate(name);
  }
  return active;
}

function check(loader: Loader, part: Part, name: string, service: Service, project: Project): void {
  const path = ["services", name];
  const absent = (field: string, what: string, key: string) =>
    loader.fail(part, [...path, field], `there is no ${what} ${key} in the file`);
  for (const [other, { required }] of Object.entries(service.depends_on))
    if (required && !project.services.has(other))
      if (project.inactive.has(other))
        loader.fail(part, [...path, "depends_on"], `it depends on ${other}, whose profile is not active`);
      else absent("depends_on", "service", other);
  for (const key of Object.keys(service.networks)) if (!project.networks.has(key)) absent("networks", "network", key);
  for (const { type, source } of service.volumes ?? [])
    if (type === "volume" && source !== undefined && !project.volumes.has(source)) absent("volumes", "volume", source);
  for (const { source } of service.secrets ?? []) if (!project.secrets.has(source)) absent("secrets", "secret", source);
  for (const { source } of service.configs ?? []) if (!project.configs.has(source)) absent("configs", "config", source);
  if (service.container_name !== undefined && service.replicas > 1)
    loader.fail(part, [...path, "container_name"], "several containers cannot have one name");
}
