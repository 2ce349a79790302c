/** The parts of a project, put together: names, profiles, and whether all that is referred to is there. */
import { isAbsolute } from "node:path";
import { ISOLATED_DRIVERS, NETWORK_OPTIONS, PRIVILEGED_DRIVERS } from "../docker/network-rules.ts";
import { driverOptions } from "../docker/volume-rules.ts";
import * as v from "valibot";
import type { Loader } from "./load.ts";
import { inOrder } from "./order.ts";
import type { Part } from "./part.ts";
import type { Network, Project, Service, Volume } from "./project.ts";
import type { ParsedFile, ParsedNetwork, ParsedVolume } from "./schema.ts";
import type { ParsedService } from "./service-schema.ts";

export async function assemble(loader: Loader, root: Part): Promise<Project | undefined> {
  const { name } = loader;
  const { document } = root;
  const services = new Map<string, Service>();
  for (const [key, parsed] of Object.entries(document.services)) {
    const service = await finished(loader, root, name, key, parsed);
    if (service) services.set(key, service);
  }
  const networks = each(document.networks, (network, key) => networkOf(loader, network, root, name, key));
  const volumes = each(document.volumes, (volume, key) => volumeOf(volume, root, name, key));
  const active = activeOf(loader, services);
  const used = [...services].filter(([key]) => active.has(key));
  if (used.some(([, service]) => "default" in service.networks) && !networks.has("default"))
    networks.set("default", networkOf(loader, {}, root, name, "default"));
  const project: Project = {
    name,
    folder: root.folder,
    files: loader.request.files.flatMap(({ path }) => path ?? []),
    services: new Map(used),
    inactive: new Set([...services.keys()].filter((key) => !active.has(key))),
    networks,
    volumes,
    secrets: each(document.secrets, (file, key) => fileOf(loader, file, root, ["secrets", key])),
    configs: each(document.configs, (file, key) => fileOf(loader, file, root, ["configs", key])),
    hidden: hiddenOf(loader, name, [...services.keys(), ...networks.keys(), ...volumes.keys()]),
    remarks: loader.unset.map((one) => `The variable ${one} is not set; nothing stands in its place.`),
  };
  for (const [key, service] of used) check(loader, root, key, service, project);
  const names = new Set<string>();
  for (const [key, { container_name: own }] of used) {
    if (own !== undefined && names.has(own))
      loader.fail(root, ["services", key, "container_name"], "another service has this container_name, too");
    names.add(own ?? "");
  }
  if (loader.findings.length > 0) return undefined;
  const circle = inOrder(project).circle;
  if (circle) return loader.fail(root, ["services", circle, "depends_on"], "services wait for each other in a circle");
  return project;
}

function each<I, T>(items: Record<string, I>, make: (item: I, key: string) => T): Map<string, T> {
  return new Map(Object.entries(items).map(([key, item]) => [key, make(item, key)]));
}

/** Short values that are parts of names in the file would make the names unreadable, and nothing more secret. */
function hiddenOf({ hidden }: Loader, project: string, names: readonly string[]): Set<string> {
  const seen = [project, ...names];
  return new Set([...hidden].filter((value) => value.length >= 8 || !seen.some((name) => name.includes(value))));
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
  if (image === undefined)
    return loader.fail(
      part,
      ["services", name],
      "it has neither image nor build",
      "A file that is laid over others is read with them: name them all.",
    );
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

function networkOf(loader: Loader, network: ParsedNetwork, { source }: Part, project: string, key: string): Network {
  const path = ["networks", key];
  const { driver = "bridge", driver_opts = {}, external = false } = network;
  const name = network.name ?? (external ? key : `${project}_${key}`);
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
  const { internal = false, attachable = false, enable_ipv6 = false, labels = {} } = network;
  return { ...network, name, driver_opts, external, internal, attachable, enable_ipv6, labels };
}

function volumeOf(volume: ParsedVolume, { source }: Part, project: string, key: string): Volume {
  const { driver = "local", driver_opts = {}, external = false, labels = {} } = volume;
  const name = volume.name ?? (external ? key : `${project}_${key}`);
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
  return { ...volume, name, external, labels, driver_opts: parsed.success ? definedOnly(parsed.output) : {} };
}

function definedOnly(options: Record<string, string | undefined>): Record<string, string> {
  const defined: Record<string, string> = {};
  for (const [name, value] of Object.entries(options)) if (value !== undefined) defined[name] = value;
  return defined;
}

/** A variable's value becomes the content. */
function fileOf(loader: Loader, file: ParsedFile, part: Part, path: string[]): ParsedFile {
  const ways = [file.file, file.content, file.environment].filter((one) => one !== undefined);
  if (ways.length !== 1) loader.fail(part, path, "expected one of file, content and environment");
  if (file.environment !== undefined) {
    const content = loader.lookup(file.environment);
    if (content === undefined) loader.fail(part, path, `the variable ${file.environment} is not set`);
    else loader.hidden.add(content);
    return { ...file, content: content ?? "" };
  }
  if (file.content !== undefined) loader.hidden.add(file.content);
  if (file.file !== undefined && !isAbsolute(file.file))
    loader.fail(part, path, "a text by itself has no files beside it");
  return file;
}

function activeOf(loader: Loader, services: ReadonlyMap<string, Service>): Set<string> {
  const { profiles, services: named = [] } = loader.request;
  const wanted = new Set([...profiles, ...(loader.lookup("COMPOSE_PROFILES") ?? "").split(",")]);
  const active = new Set<string>();
  const activate = (name: string) => {
    const service = services.get(name);
    if (!service || active.has(name)) return;
    active.add(name);
    for (const [other, { required }] of Object.entries(service.depends_on)) {
      const without = (services.get(other)?.profiles ?? []).length === 0;
      // What is named brings what it needs; else a profile that is not active keeps its services out.
      if (required && (without || named.includes(name))) activate(other);
    }
  };
  for (const [name, service] of services) {
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
    if (project.inactive.has(other)) {
      if (required) loader.fail(part, [...path, "depends_on"], `it depends on ${other}, whose profile is not active`);
    } else if (!project.services.has(other)) absent("depends_on", "service", other);
  for (const key of Object.keys(service.networks)) if (!project.networks.has(key)) absent("networks", "network", key);
  for (const { type, source } of service.volumes ?? [])
    if (type === "volume" && source !== undefined && !project.volumes.has(source)) absent("volumes", "volume", source);
  for (const { source } of service.secrets ?? []) if (!project.secrets.has(source)) absent("secrets", "secret", source);
  for (const { source } of service.configs ?? []) if (!project.configs.has(source)) absent("configs", "config", source);
  const { deploy, scale } = service;
  const twice: [string, unknown, string, unknown][] = [
    ["scale", scale, "deploy.replicas", deploy?.replicas],
    ["mem_limit", service.mem_limit, "deploy.resources.limits.memory", deploy?.resources?.limits?.memory],
    ["cpus", service.cpus, "deploy.resources.limits.cpus", deploy?.resources?.limits?.cpus],
    ["pids_limit", service.pids_limit, "deploy.resources.limits.pids", deploy?.resources?.limits?.pids],
    [
      "mem_reservation",
      service.mem_reservation,
      "deploy.resources.reservations.memory",
      deploy?.resources?.reservations?.memory,
    ],
  ];
  for (const [field, one, otherField, other] of twice)
    if (one !== undefined && other !== undefined && one !== other)
      loader.fail(part, [...path, field], `it differs from ${otherField}`);
  if (service.container_name !== undefined && service.replicas > 1)
    loader.fail(part, [...path, "container_name"], "several containers cannot have one name");
}
