/** From what the engine says of a container or a network to what it must be told to make it again. Pure. */
import type { ContainerInfo } from "../../docker/containers.ts";
import type { NetworkInfo } from "../../docker/networks.ts";

type Json = Record<string, unknown>;

/** Short ids have so many characters; a container's is its host name and an alias unless somebody says otherwise. */
const SHORT = 12;

/** The create call's body (API reference, ContainerCreate). */
export function containerConfig(info: ContainerInfo): Json {
  const { Hostname, ...config } = record(info.Config);
  const host = record(info.HostConfig);
  const given = Hostname === info.Id.slice(0, SHORT) ? {} : { Hostname };
  return { ...config, ...given, HostConfig: { ...host, Mounts: mountsOf(info, host) } };
}

/** Volumes without a name were made with the container: this one is to get the same ones again. */
function mountsOf(info: ContainerInfo, host: Json): unknown[] {
  const own = list(host["Mounts"]);
  const told = new Set([
    ...own.map((mount) => record(mount)["Target"]),
    ...list(host["Binds"]).map((bind) => String(bind).split(":")[1]),
  ]);
  const unnamed = list(info["Mounts"])
    .map(record)
    .filter(({ Type, Destination }) => Type === "volume" && !told.has(Destination));
  const again = unnamed.map(({ Name, Destination, RW }) => ({
    Type: "volume",
    Source: Name,
    Target: Destination,
    ReadOnly: RW === false,
  }));
  return [...own, ...again];
}

/** The container's places, the one of its network mode first: the engine takes one at its creation. */
export function placesOf(info: ContainerInfo): { name: string; endpoint: Json }[] {
  const mode = info.HostConfig.NetworkMode;
  const places = Object.entries(info.NetworkSettings.Networks ?? {}).map(([name, place]) => {
    const { IPAMConfig, Links, Aliases, DriverOpts } = record(place);
    const aliases = list(Aliases).filter((alias) => alias !== info.Id.slice(0, SHORT));
    const endpoint = {
      IPAMConfig: IPAMConfig ?? null,
      Links: Links ?? null,
      DriverOpts: DriverOpts ?? null,
      Aliases: aliases.length > 0 ? aliases : null,
    };
    return { name, endpoint };
  });
  return places.toSorted((left, right) => Number(right.name === mode) - Number(left.name === mode));
}

/** The create call's body (API reference, NetworkCreate). */
export function networkConfig(info: NetworkInfo): Json {
  const { Name, Driver, Internal, Attachable, Ingress, EnableIPv6, IPAM, Options, Labels, Scope } = record(info);
  return {
    Name,
    Driver,
    Internal,
    Attachable,
    Ingress,
    EnableIPv6,
    IPAM,
    Options,
    Labels,
    Scope,
    CheckDuplicate: true,
  };
}

function record(value: unknown): Json {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
