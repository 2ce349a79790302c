/** A project in the shape of `docker compose config --format json`. Pure. */
import { hide, type Project, type Service } from "./project.ts";
import type { ParsedFile } from "./schema.ts";
import type { FileUse } from "./service-schema.ts";
import { isRecord } from "./source.ts";

type Json = Record<string, unknown>;

/** Everything, values of variables included: for comparing, not for showing. */
export function configOf(project: Project): Json {
  const { name, services } = project;
  const { networks, volumes, secrets, configs } = usedOf(project);
  return compact({
    name,
    services: mapped(services, (service) => serviceConfig(service)),
    networks: mapped(
      networks,
      ({ name: full, external, driver, driver_opts, ipam, internal, attachable, ...rest }) => ({
        name: full,
        driver: external ? undefined : driver,
        driver_opts,
        external: external || undefined,
        internal: internal || undefined,
        attachable: attachable || undefined,
        enable_ipv6: rest.enable_ipv6 || undefined,
        labels: rest.labels,
        ipam,
      }),
    ),
    volumes: mapped(volumes, ({ name: full, external, driver, driver_opts, labels }) => ({
      name: full,
      driver,
      driver_opts,
      labels,
      external: external || undefined,
    })),
    secrets: mapped(secrets, (file, key) => fileConfig(project, file, key)),
    configs: mapped(configs, (file, key) => fileConfig(project, file, key)),
  });
}

/** What no service uses is not made, and not shown. */
function usedOf({ services, networks, volumes, secrets, configs }: Project) {
  const all = [...services.values()];
  const sources = (uses: readonly { source?: string | undefined }[] = []) => uses.map(({ source = "" }) => source);
  const only = <T>(items: ReadonlyMap<string, T>, keys: string[]) =>
    new Map([...items].filter(([key]) => keys.includes(key)));
  return {
    networks: only(
      networks,
      all.flatMap((service) => Object.keys(service.networks)),
    ),
    volumes: only(
      volumes,
      all.flatMap((service) => sources(service.volumes)),
    ),
    secrets: only(
      secrets,
      all.flatMap((service) => sources(service.secrets)),
    ),
    configs: only(
      configs,
      all.flatMap((service) => sources(service.configs)),
    ),
  };
}

/** The same for everybody's eyes: what environments and build arguments say, and whatever came out of a variable, is `***`. */
export function shownConfig(project: Project): Json {
  const config = configOf(project);
  for (const service of Object.values(isRecord(config["services"]) ? config["services"] : {})) {
    if (!isRecord(service)) continue;
    mask(service, "environment");
    if (isRecord(service["build"])) mask(service["build"], "args");
  }
  for (const kind of ["secrets", "configs"])
    for (const file of Object.values(isRecord(config[kind]) ? config[kind] : {}))
      if (isRecord(file) && "content" in file) file["content"] = "***";
  const hidden = hideIn(config, project.hidden);
  return isRecord(hidden) ? hidden : {};
}

function mask(owner: Json, field: string): void {
  const values = owner[field];
  if (isRecord(values)) owner[field] = Object.fromEntries(Object.keys(values).map((name) => [name, "***"]));
}

function hideIn(value: unknown, hidden: ReadonlySet<string>): unknown {
  if (typeof value === "string") return hide(value, hidden);
  if (typeof value === "number") return hidden.has(String(value)) ? "***" : value;
  if (Array.isArray(value)) return value.map((one) => hideIn(one, hidden));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, hideIn(one, hidden)]));
}

function serviceConfig(service: Service): Json {
  const { healthcheck: check, build, replicas, name: _, image, ...rest } = service;
  const { stop_grace_period, extra_hosts, develop: _develop, scale, command, entrypoint, ...plain } = rest;
  return {
    ...plain,
    ...(build ? { build: buildConfig(build) } : {}),
    ...texts(plain, ["mem_limit", "mem_reservation", "shm_size"]),
    ...Object.fromEntries(SWITCHES.map((field) => [field, plain[field] || undefined])),
    deploy: plain.deploy && deployConfig(plain.deploy),
    ...(build && image.endsWith(`-${service.name}`) ? {} : { image }),
    command: command ?? null,
    entrypoint: entrypoint ?? null,
    networks: Object.fromEntries(
      Object.entries(service.networks).map(([key, { aliases, priority, ...place }]) => {
        const said = { ...place, ...(aliases.length > 0 ? { aliases } : {}), ...(priority === 0 ? {} : { priority }) };
        return [key, Object.keys(said).length > 0 ? said : null];
      }),
    ),
    depends_on: Object.fromEntries(
      Object.entries(service.depends_on).map(([key, { condition, restart, required }]) => [
        key,
        { condition, required, ...(restart ? { restart } : {}) },
      ]),
    ),
    volumes: service.volumes?.map(({ type, source, target, read_only, nocopy, bind, tmpfs }) => ({
      type,
      source,
      target,
      read_only: read_only || undefined,
      ...(nocopy ? { volume: { nocopy } } : {}),
      bind,
      ...(tmpfs ? { tmpfs: { ...tmpfs, ...texts(tmpfs, ["size"]) } } : {}),
    })),
    ports: service.ports?.map((port) => ({ mode: "ingress", ...port })),
    healthcheck: check && {
      ...check,
      interval: span(check.interval),
      timeout: span(check.timeout),
      start_period: span(check.start_period),
      start_interval: span(check.start_interval),
    },
    stop_grace_period: span(stop_grace_period),
    extra_hosts:
      extra_hosts &&
      Object.entries(extra_hosts)
        .flatMap(([host, list]) => list.map((address) => `${host}=${address}`))
        .toSorted(),
    ...(scale === undefined ? {} : { scale: replicas }),
    secrets: service.secrets?.map((use) => useOf({ ...use, target: use.target ?? `/run/secrets/${use.source}` })),
    configs: service.configs?.map(useOf),
  };
}

/** Shown only where they are on. */
const SWITCHES = ["read_only", "privileged", "tty", "stdin_open"] as const;

function buildConfig({ args, ...build }: NonNullable<Service["build"]>): Json {
  const given = Object.entries(args).filter(([, value]) => value !== null);
  const dockerfile = build.dockerfile_inline === undefined ? "Dockerfile" : undefined;
  return { dockerfile, ...build, args: Object.fromEntries(given) };
}

function deployConfig({ resources, restart_policy: policy, ...deploy }: NonNullable<Service["deploy"]>): Json {
  const limits = (found: { memory?: number | undefined } | undefined) =>
    found && { ...found, ...texts(found, ["memory"]) };
  return {
    ...deploy,
    resources: resources && { limits: limits(resources.limits), reservations: limits(resources.reservations) },
    restart_policy: policy && { ...policy, delay: span(policy.delay), window: span(policy.window) },
  };
}

/** Sizes are texts there. */
function texts<T extends object>(fields: T, names: readonly (keyof T)[]): Json {
  return Object.fromEntries(
    names.flatMap((name) => (fields[name] === undefined ? [] : [[String(name), String(fields[name])]])),
  );
}

function useOf({ source, target, mode }: FileUse): Json {
  return { source, target, mode: mode?.toString(8).padStart(4, "0") };
}

function fileConfig(project: Project, { name, file, content, environment }: ParsedFile, key: string): Json {
  return {
    name: name ?? `${project.name}_${key}`,
    file,
    ...(environment === undefined ? { content } : { environment }),
  };
}

const SPANS = [
  ["h", 3600e9],
  ["m", 60e9],
  ["s", 1e9],
] as const;

/** Nanoseconds as Go writes them: `1m30s`. */
function span(ns: number | undefined): string | undefined {
  if (ns === undefined) return undefined;
  if (ns === 0) return "0s";
  if (ns < 1e9) return `${ns / 1e6}ms`;
  let rest = ns;
  let out = "";
  for (const [unit, length] of SPANS) {
    const count = unit === "s" ? rest / length : Math.floor(rest / length);
    if (count > 0 || out !== "") out += `${count}${unit}`;
    rest -= count * length;
  }
  return out;
}

function mapped<T>(items: ReadonlyMap<string, T>, make: (item: T, key: string) => Json): Json | undefined {
  if (items.size === 0) return undefined;
  return Object.fromEntries([...items].map(([key, item]) => [key, compact(make(item, key))]));
}

/** Without what is absent, and without maps and lists that are empty. */
function compact(record: Json): Json {
  const entries = Object.entries(record).flatMap(([name, value]): [string, unknown][] => {
    // An empty command is not the same as none.
    const means = name === "command" || name === "entrypoint";
    if (value === undefined || (Array.isArray(value) && value.length === 0 && !means)) return [];
    if (Array.isArray(value)) return [[name, value.map((one: unknown) => (isRecord(one) ? compact(one) : one))]];
    if (!isRecord(value)) return [[name, value]];
    const inner = compact(value);
    return Object.keys(inner).length === 0 ? [] : [[name, inner]];
  });
  return Object.fromEntries(entries);
}
