/** A service → the engine's words for a container of it (API reference, ContainerCreate). Pure. */
import type { ContainerConfig, HostConfig, Mount, NetworkPlace } from "../docker/container-config.ts";
import { COMPOSE_VERSION, containerName, LABELS, type Project, type Service, serviceHash } from "./project.ts";
import type { Attachment } from "./service-schema.ts";

const NANO = 1_000_000_000;
/** Published ports are for this machine unless the file names an address: the same as for every tool. */
const LOOPBACK = "127.0.0.1";

export interface ContainerPlan {
  name: string;
  config: ContainerConfig;
  /** Networks to join before the start. */
  more: { network: string; place: NetworkPlace }[];
}

/** `mounts` are judged by the caller; `imageId` is what the name of the image means now. */
export function containerPlan(
  project: Project,
  service: Service,
  number: number,
  mounts: Mount[],
  imageId: string,
): ContainerPlan {
  const name = containerName(project, service, number);
  const [first, ...others] = placesOf(project, service, name);
  const { healthcheck, stop_grace_period: grace } = service;
  const exposed = [
    ...(service.ports ?? []).map(({ target, protocol }) => `${target}/${protocol}`),
    ...exposedOf(service),
  ];
  const config: ContainerConfig = {
    Image: service.image,
    Env: Object.entries(service.environment).map(([name, value]) => (value === null ? name : `${name}=${value}`)),
    Labels: { ...service.labels, ...labelsOf(project, service, number, imageId) },
    ExposedPorts: Object.fromEntries(exposed.map((port) => [port, {}])),
    Tty: service.tty ?? false,
    OpenStdin: service.stdin_open ?? false,
    ...(service.command ? { Cmd: service.command } : {}),
    // An empty list would mean the image's own to the engine; an empty word takes it away.
    ...(service.entrypoint ? { Entrypoint: service.entrypoint.length > 0 ? service.entrypoint : [""] } : {}),
    ...(service.user === undefined ? {} : { User: service.user }),
    ...(service.working_dir === undefined ? {} : { WorkingDir: service.working_dir }),
    ...(service.hostname === undefined ? {} : { Hostname: service.hostname }),
    ...(service.domainname === undefined ? {} : { Domainname: service.domainname }),
    ...(service.stop_signal === undefined ? {} : { StopSignal: service.stop_signal }),
    ...(grace === undefined ? {} : { StopTimeout: Math.ceil(grace / NANO) }),
    ...(healthcheck ? { Healthcheck: healthOf(healthcheck) } : {}),
    ...(first ? { NetworkingConfig: { EndpointsConfig: { [first.network]: first.place } } } : {}),
    HostConfig: hostOf(service, mounts, first?.network),
  };
  return { name, config, more: others };
}

function hostOf(service: Service, mounts: Mount[], network: string | undefined): HostConfig {
  const limits = service.deploy?.resources?.limits;
  const memory = service.mem_limit ?? limits?.memory;
  const cpus = service.cpus ?? limits?.cpus;
  const pids = service.pids_limit ?? limits?.pids;
  const reserved = service.mem_reservation ?? service.deploy?.resources?.reservations?.memory;
  const bindings: NonNullable<HostConfig["PortBindings"]> = {};
  for (const { target, protocol, published = "", host_ip: HostIp = LOOPBACK } of service.ports ?? [])
    (bindings[`${target}/${protocol}`] ??= []).push({ HostIp, HostPort: published });
  return {
    Mounts: mounts,
    PortBindings: bindings,
    RestartPolicy: restartOf(service),
    ReadonlyRootfs: service.read_only ?? false,
    Privileged: service.privileged ?? false,
    CapDrop: service.cap_drop ?? [],
    NetworkMode: service.network_mode ?? network ?? "none",
    ...(service.init === undefined ? {} : { Init: service.init }),
    ...(memory === undefined ? {} : { Memory: memory, MemorySwap: memory }),
    ...(reserved === undefined ? {} : { MemoryReservation: reserved }),
    ...(cpus === undefined ? {} : { NanoCpus: Math.round(cpus * NANO) }),
    ...(pids === undefined ? {} : { PidsLimit: pids }),
    ...(service.cpu_shares === undefined ? {} : { CpuShares: service.cpu_shares }),
    ...(service.shm_size === undefined ? {} : { ShmSize: service.shm_size }),
    ...(service.tmpfs ? { Tmpfs: tmpfsOf(service.tmpfs) } : {}),
    ...(service.dns ? { Dns: service.dns } : {}),
    ...(service.dns_search ? { DnsSearch: service.dns_search } : {}),
    ...(service.dns_opt ? { DnsOptions: service.dns_opt } : {}),
    ...(service.logging
      ? { LogConfig: { Type: service.logging.driver ?? "", Config: service.logging.options ?? {} } }
      : {}),
    ...(service.ulimits ? { Ulimits: ulimitsOf(service.ulimits) } : {}),
    ...((service.security_opt ?? []).length > 0 ? { SecurityOpt: ["no-new-privileges:true"] } : {}),
    ...(service.extra_hosts
      ? {
          ExtraHosts: Object.entries(service.extra_hosts).flatMap(([host, addresses]) =>
            addresses.map((address) => `${host}:${address}`),
          ),
        }
      : {}),
  };
}

function tmpfsOf(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((one) => {
      const at = one.indexOf(":");
      return at < 0 ? [one, ""] : [one.slice(0, at), one.slice(at + 1)];
    }),
  );
}

function ulimitsOf(ulimits: NonNullable<Service["ulimits"]>): NonNullable<HostConfig["Ulimits"]> {
  return Object.entries(ulimits).map(([Name, limit]) => {
    const { soft: Soft, hard: Hard } = typeof limit === "number" ? { soft: limit, hard: limit } : limit;
    return { Name, Soft, Hard };
  });
}

function restartOf({ restart, deploy }: Service): NonNullable<HostConfig["RestartPolicy"]> {
  if (restart !== undefined) {
    const [name = "no", count] = restart.split(":");
    return { Name: name, ...(count === undefined ? {} : { MaximumRetryCount: Number(count) }) };
  }
  const policy = deploy?.restart_policy;
  if (!policy || policy.condition === "none") return { Name: "no" };
  if (policy.condition === "any") return { Name: "always" };
  const count = policy.max_attempts;
  return { Name: "on-failure", ...(count === undefined ? {} : { MaximumRetryCount: count }) };
}

function healthOf(check: NonNullable<Service["healthcheck"]>): NonNullable<ContainerConfig["Healthcheck"]> {
  if (check.disable) return { Test: ["NONE"] };
  return {
    ...(check.test ? { Test: check.test } : {}),
    ...(check.interval === undefined ? {} : { Interval: check.interval }),
    ...(check.timeout === undefined ? {} : { Timeout: check.timeout }),
    ...(check.start_period === undefined ? {} : { StartPeriod: check.start_period }),
    ...(check.start_interval === undefined ? {} : { StartInterval: check.start_interval }),
    ...(check.retries === undefined ? {} : { Retries: check.retries }),
  };
}

function exposedOf({ expose = [] }: Service): string[] {
  return expose.map((port) => (port.includes("/") ? port : `${port}/tcp`));
}

/** The highest priority first: its gateway is the container's. */
function placesOf(project: Project, service: Service, name: string): ContainerPlan["more"] {
  return Object.entries(service.networks)
    .toSorted(([left, one], [right, other]) => other.priority - one.priority || (left < right ? -1 : 1))
    .map(([key, attachment]) => ({
      network: project.networks.get(key)?.name ?? key,
      place: placeOf(service, name, attachment),
    }));
}

function placeOf(service: Service, name: string, attachment: Attachment): NetworkPlace {
  const { aliases, ipv4_address: v4, ipv6_address: v6 } = attachment;
  const addresses = { ...(v4 ? { IPv4Address: v4 } : {}), ...(v6 ? { IPv6Address: v6 } : {}) };
  return {
    Aliases: [...new Set([name, service.name, ...aliases])],
    ...(Object.keys(addresses).length > 0 ? { IPAMConfig: addresses } : {}),
  };
}

function labelsOf(project: Project, service: Service, number: number, imageId: string): Record<string, string> {
  const dependsOn = Object.entries(service.depends_on).map(
    ([name, { condition, restart = false }]) => `${name}:${condition}:${restart}`,
  );
  return {
    [LABELS.project]: project.name,
    [LABELS.service]: service.name,
    [LABELS.number]: String(number),
    [LABELS.hash]: serviceHash(project, service),
    [LABELS.oneoff]: "False",
    [LABELS.files]: project.files.join(","),
    [LABELS.folder]: project.folder ?? "",
    [LABELS.image]: imageId,
    [LABELS.dependsOn]: dependsOn.join(","),
    [LABELS.version]: COMPOSE_VERSION,
  };
}
