/** Compose projects as the labels of their containers tell; nothing of a project's files is read. */
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { LABELS } from "../compose/project.ts";
import { type ContainerInfo, inspectContainer, listContainers } from "../docker/containers.ts";
import type { ToolCall } from "./tool.ts";
import { nameOf } from "./containers/common.ts";
import { redactor } from "./values.ts";

/** Containers of one project that are looked at. */
const CONTAINERS_MAX = 100;

export async function projectNames(call: ToolCall): Promise<string[]> {
  const found = await listContainers(await call.engine(), { label: [LABELS.project] }, call.deadline);
  return unique(found.map(({ Labels }) => Labels?.[LABELS.project]));
}

/** `project/service` of all projects, or the services of one. */
export async function serviceNames(project: string | undefined, call: ToolCall): Promise<[string, string][]> {
  const label = project === undefined ? LABELS.project : `${LABELS.project}=${project}`;
  const found = await listContainers(await call.engine(), { label: [label] }, call.deadline);
  const pairs = new Map<string, [string, string]>();
  for (const { Labels } of found) {
    const [owner, service] = [Labels?.[LABELS.project], Labels?.[LABELS.service]];
    if (owner && service) pairs.set(`${owner}/${service}`, [owner, service]);
  }
  return [...pairs.values()];
}

/** Its containers in the order of their names. Faults: `not-found`. */
export async function projectContainers(project: string, call: ToolCall, service?: string): Promise<ContainerInfo[]> {
  const engine = await call.engine();
  const label = [`${LABELS.project}=${project}`, ...(service ? [`${LABELS.service}=${service}`] : [])];
  const found = (await listContainers(engine, { label }, call.deadline)).slice(0, CONTAINERS_MAX);
  const infos = await Promise.all(found.map(({ Id }) => inspectContainer(engine, Id, call.deadline)));
  const there = infos.filter((info) => info !== undefined).toSorted((a, b) => a.Name.localeCompare(b.Name));
  if (there.length > 0) return there;
  const names = await projectNames(call);
  throw new Fault(
    "not-found",
    service ? `the project ${project} has no service ${service}` : `there is no compose project ${project}`,
    {
      hint:
        names.length > 0
          ? `There are: ${names.slice(0, 20).join(", ")}.`
          : "No container has the labels of a compose project.",
    },
  );
}

const words = v.optional(v.nullable(v.array(v.string())), []);
const facts = v.object({
  Config: v.object({
    Image: v.optional(v.string(), ""),
    Cmd: words,
    Entrypoint: words,
    User: v.optional(v.string(), ""),
    WorkingDir: v.optional(v.string(), ""),
    Healthcheck: v.optional(v.nullable(v.object({ Test: words }))),
  }),
  HostConfig: v.object({
    RestartPolicy: v.optional(v.object({ Name: v.optional(v.string(), "") }), {}),
    Memory: v.optional(v.number(), 0),
    NanoCpus: v.optional(v.number(), 0),
    PidsLimit: v.optional(v.nullable(v.number())),
    ReadonlyRootfs: v.optional(v.boolean(), false),
    Privileged: v.optional(v.boolean(), false),
    CapAdd: words,
    CapDrop: words,
    PortBindings: v.optional(
      v.nullable(
        v.record(
          v.string(),
          v.nullable(v.array(v.object({ HostIp: v.optional(v.string(), ""), HostPort: v.optional(v.string(), "") }))),
        ),
      ),
    ),
  }),
  Mounts: v.optional(
    v.array(
      v.object({
        Type: v.string(),
        Name: v.optional(v.string()),
        Source: v.optional(v.string(), ""),
        Destination: v.string(),
        RW: v.optional(v.boolean(), true),
      }),
    ),
    [],
  ),
});

/**
 * Containers as the compose file that would make them, without values of environment variables. What an image brings
 * along is in it, too: the engine does not tell it apart.
 */
export function composeModel(infos: readonly ContainerInfo[]): Record<string, unknown> {
  const services: Record<string, unknown> = {};
  const scale = Map.groupBy(infos, serviceOf);
  const [volumes, networks] = [new Set<string>(), new Set<string>()];
  for (const [name, [first, ...more]] of scale) {
    if (!first) continue;
    const { Mounts } = v.parse(facts, first);
    for (const mount of Mounts) if (mount.Type === "volume" && mount.Name) volumes.add(mount.Name);
    const joined = Object.keys(first.NetworkSettings.Networks ?? {}).filter((each) => !BUILT_IN.has(each));
    for (const network of joined) networks.add(network);
    services[name] = { ...serviceModel(first, joined), ...(more.length > 0 ? { scale: more.length + 1 } : {}) };
  }
  const external = (names: Set<string>) => Object.fromEntries([...names].map((name) => [name, { external: true }]));
  return {
    services,
    ...(volumes.size > 0 ? { volumes: external(volumes) } : {}),
    ...(networks.size > 0 ? { networks: external(networks) } : {}),
  };
}

const BUILT_IN = new Set(["bridge", "host", "none"]);

export function serviceOf(info: ContainerInfo): string {
  return info.Config.Labels?.[LABELS.service] ?? nameOf(info);
}

function serviceModel(info: ContainerInfo, networks: string[]): Record<string, unknown> {
  const { Config, HostConfig, Mounts } = v.parse(facts, info);
  const hide = redactor(info.Config.Env);
  const ports = Object.entries(HostConfig.PortBindings ?? {}).flatMap(([inside, bound]) =>
    (bound ?? []).map(({ HostIp, HostPort }) =>
      [HostIp, HostPort, inside.replace("/tcp", "")].filter(Boolean).join(":"),
    ),
  );
  const mounts = Mounts.filter(({ Type }) => Type !== "tmpfs").map(
    ({ Name, Source, Destination, RW }) => `${Name ?? Source}:${Destination}${RW ? "" : ":ro"}`,
  );
  const depends = (info.Config.Labels?.[LABELS.dependsOn] ?? "").split(",").filter(Boolean);
  const all = {
    image: Config.Image,
    entrypoint: (Config.Entrypoint ?? []).map(hide),
    command: (Config.Cmd ?? []).map(hide),
    user: Config.User,
    working_dir: Config.WorkingDir,
    environment: (info.Config.Env ?? []).map((variable) => `${variable.split("=", 1)[0]}=***`),
    ports,
    volumes: mounts,
    networks,
    network_mode:
      info.HostConfig.NetworkMode === "host" || info.HostConfig.NetworkMode === "none"
        ? info.HostConfig.NetworkMode
        : "",
    depends_on: depends.map((word) => word.split(":")[0] ?? word),
    restart: HostConfig.RestartPolicy.Name === "no" ? "" : HostConfig.RestartPolicy.Name,
    healthcheck: Config.Healthcheck ? { test: (Config.Healthcheck.Test ?? []).map(hide) } : "",
    mem_limit: HostConfig.Memory,
    cpus: HostConfig.NanoCpus / 1e9,
    pids_limit: HostConfig.PidsLimit ?? 0,
    read_only: HostConfig.ReadonlyRootfs,
    privileged: HostConfig.Privileged,
    cap_add: HostConfig.CapAdd ?? [],
    cap_drop: HostConfig.CapDrop ?? [],
  };
  // What is empty, zero or false is how it would be without.
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : Boolean(value))),
  );
}

export function unique(names: readonly (string | undefined)[]): string[] {
  return [...new Set(names.flatMap((name) => name || []))].toSorted();
}
