/** What extends another service, or is laid over another file: its own fields over the other's, by the specification's rules. Pure. */
import type { Part } from "./part.ts";
import type { ParsedDocument, ParsedNetwork } from "./schema.ts";
import type { Attachment, ParsedService } from "./service-schema.ts";
import { isRecord, type Path } from "./source.ts";

/** A file over another. Both have neither `extends` nor relative paths. */
export function overlay(base: Part, over: Part): Part {
  return {
    ...base,
    document: mergeDocuments(base.document, over.document, over.removed),
    source: layered([over.source, base.source]),
  };
}

/** Findings go where the path is written down. */
export function layered(sources: readonly Part["source"][]): Part["source"] {
  return {
    has: (path) => sources.some((source) => source.has(path)),
    find: (kind, path, message, hint) =>
      (sources.find((source) => source.has(path)) ?? sources[0])?.find(kind, path, message, hint),
  };
}

export function mergeDocuments(base: ParsedDocument, own: ParsedDocument, removed: readonly Path[]): ParsedDocument {
  const under = without(base, removed);
  return {
    ...under,
    ...(own.name === undefined ? {} : { name: own.name }),
    services: eachOver(under.services, own.services, mergeServices),
    networks: eachOver(under.networks, own.networks, mergeNetworks),
    volumes: eachOver(under.volumes, own.volumes, mergeDeep),
    secrets: eachOver(under.secrets, own.secrets, mergeDeep),
    configs: eachOver(under.configs, own.configs, mergeDeep),
  };
}

function eachOver<T>(base: Record<string, T>, own: Record<string, T>, merge: (base: T, own: T) => T) {
  const merged = { ...base };
  for (const [name, value] of Object.entries(own)) {
    const under = base[name];
    merged[name] = under === undefined ? value : merge(under, value);
  }
  return merged;
}

function without(document: ParsedDocument, paths: readonly Path[]): ParsedDocument {
  const left = structuredClone(document);
  for (const path of paths) {
    let at: unknown = left;
    for (const name of path.slice(0, -1)) at = isRecord(at) ? at[name] : undefined;
    if (isRecord(at)) delete at[path.at(-1) ?? ""];
  }
  return left;
}

function mergeNetworks(base: ParsedNetwork, own: ParsedNetwork): ParsedNetwork {
  const config = byKey(base.ipam?.config, own.ipam?.config, ({ subnet = "" }) => subnet);
  const merged = mergeDeep(base, own);
  return config ? { ...merged, ipam: { ...merged.ipam, config } } : merged;
}

/** Options belong to their driver. */
function mergeLogging(base: ParsedService["logging"], own: ParsedService["logging"]): ParsedService["logging"] {
  if (!base || !own) return undefined;
  const same = base.driver === own.driver || base.driver === undefined || own.driver === undefined;
  return same ? mergeDeep(base, own) : own;
}

function mergeAttachments(base: ParsedService["networks"], own: ParsedService["networks"]) {
  return base && own ? eachOver(base, own, mergeAttachment) : undefined;
}

function mergeAttachment(base: Attachment, own: Attachment): Attachment {
  const aliases = [...new Set([...base.aliases, ...own.aliases])];
  return { ...base, ...own, aliases, priority: own.priority || base.priority };
}

export function mergeServices(base: ParsedService, own: ParsedService): ParsedService {
  const { extends: _, ...rest } = base;
  return {
    ...rest,
    ...own,
    ...definedOnly({
      environment: together(base.environment, own.environment),
      labels: together(base.labels, own.labels),
      networks: mergeAttachments(base.networks, own.networks),
      depends_on: base.depends_on && own.depends_on ? eachOver(base.depends_on, own.depends_on, mergeDeep) : undefined,
      extra_hosts: together(base.extra_hosts, own.extra_hosts),
      healthcheck: together(base.healthcheck, own.healthcheck),
      build:
        base.build && own.build
          ? {
              ...base.build,
              ...own.build,
              args: { ...base.build.args, ...own.build.args },
              ...definedOnly({
                labels: together(base.build.labels, own.build.labels),
                tags: appended(base.build.tags, own.build.tags),
              }),
            }
          : undefined,
      deploy: base.deploy && own.deploy ? mergeDeep(base.deploy, own.deploy) : undefined,
      ports: appended(base.ports, own.ports),
      expose: appended(base.expose, own.expose),
      env_file: appended(base.env_file, own.env_file),
      tmpfs: appended(base.tmpfs, own.tmpfs),
      cap_drop: appended(base.cap_drop, own.cap_drop),
      dns: appended(base.dns, own.dns),
      dns_opt: appended(base.dns_opt, own.dns_opt),
      security_opt: appended(base.security_opt, own.security_opt),
      ulimits: together(base.ulimits, own.ulimits),
      logging: mergeLogging(base.logging, own.logging),
      dns_search: appended(base.dns_search, own.dns_search),
      profiles: appended(base.profiles, own.profiles),
      volumes: byKey(base.volumes, own.volumes, ({ target }) => target),
      secrets: byKey(base.secrets, own.secrets, ({ target, source }) => target ?? `/run/secrets/${source}`),
      configs: byKey(base.configs, own.configs, ({ target, source }) => target ?? `/${source}`),
    }),
  };
}

function together<T extends object>(base: T | undefined, own: T | undefined): T | undefined {
  return base && own ? { ...base, ...own } : undefined;
}

function appended<T>(base: T[] | undefined, own: T[] | undefined): T[] | undefined {
  if (!base || !own) return undefined;
  const seen = new Set<string>();
  return [...base, ...own].filter((one) => {
    const text = JSON.stringify(one);
    return !seen.has(text) && seen.add(text);
  });
}

/** One of the same key takes the other's place. */
function byKey<T>(base: T[] | undefined, own: T[] | undefined, key: (one: T) => string): T[] | undefined {
  if (!base || !own) return undefined;
  return [...new Map([...base, ...own].map((one) => [key(one), one])).values()];
}

function mergeDeep<T extends object>(base: T, own: T): T {
  const merged: T = { ...base, ...own };
  for (const name of Object.keys(own)) {
    const [under, over] = [Reflect.get(base, name), Reflect.get(own, name)];
    if (isRecord(under) && isRecord(over)) Reflect.set(merged, name, mergeDeep(under, over));
  }
  return merged;
}

function definedOnly<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> };
function definedOnly(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
