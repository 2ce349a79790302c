/** A service that extends another: its own fields over those of the other, by the specification's rules. Pure. */
import type { ParsedService } from "./service-schema.ts";
import { isRecord } from "./source.ts";

export function mergeServices(base: ParsedService, own: ParsedService): ParsedService {
  const { extends: _, ...rest } = base;
  return {
    ...rest,
    ...own,
    ...definedOnly({
      environment: together(base.environment, own.environment),
      labels: together(base.labels, own.labels),
      networks: together(base.networks, own.networks),
      depends_on: together(base.depends_on, own.depends_on),
      extra_hosts: together(base.extra_hosts, own.extra_hosts),
      healthcheck: together(base.healthcheck, own.healthcheck),
      build:
        base.build && own.build
          ? { ...base.build, ...own.build, args: { ...base.build.args, ...own.build.args } }
          : undefined,
      deploy: base.deploy && own.deploy ? mergeDeep(base.deploy, own.deploy) : undefined,
      ports: appended(base.ports, own.ports),
      expose: appended(base.expose, own.expose),
      env_file: appended(base.env_file, own.env_file),
      tmpfs: appended(base.tmpfs, own.tmpfs),
      cap_drop: appended(base.cap_drop, own.cap_drop),
      dns: appended(base.dns, own.dns),
      profiles: appended(base.profiles, own.profiles),
      volumes: byTarget(base.volumes, own.volumes, ({ target }) => target),
      secrets: byTarget(base.secrets, own.secrets, ({ target, source }) => target ?? source),
      configs: byTarget(base.configs, own.configs, ({ target, source }) => target ?? source),
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

/** One of the same place takes the other's. */
function byTarget<T>(base: T[] | undefined, own: T[] | undefined, target: (one: T) => string): T[] | undefined {
  if (!base || !own) return undefined;
  return [...new Map([...base, ...own].map((one) => [target(one), one])).values()];
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
