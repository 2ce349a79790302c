/** Which network a server gets, and whether its containers can be dialled from here. */
import { readFileSync } from "node:fs";
import { Fault } from "../../base/fault.ts";
import type { Deadline } from "../../base/deadline.ts";
import { type ContainerInfo, inspectContainer, listContainers } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { createNetwork, inspectNetwork, listNetworks, type NetworkInfo, removeNetwork } from "../../docker/networks.ts";
import { LABEL } from "../labels.ts";
import type { Labels } from "../runtime.ts";

const BRIDGE_NAME = "com.docker.network.bridge.name";
const NO_NEIGHBOURS = { "com.docker.network.bridge.enable_icc": "false" };
/** Networks that would give a server the engine host's own interfaces, or another container's. */
const REFUSED = /^(host$|container:)/;

/** Whose the networks are that are made here. */
export interface NetworkOwner {
  instance: string;
  labels: Labels;
}

export interface ServerNetwork {
  name: string;
  /** Whether a container's own address on it can be dialled from here. */
  direct: boolean;
}

/**
 * The network for `none`, `egress` or a name, made where it is one of ours. `mayDial`: whether it is worth looking for a
 * direct way at all. Faults: `not-found`, `invalid`, `unsupported` for a named one.
 */
export async function ensureNetwork(
  engine: Engine,
  owner: NetworkOwner,
  wanted: string,
  mayDial: boolean,
  deadline: Deadline,
): Promise<ServerNetwork> {
  if (wanted !== "none" && wanted !== "egress") return namedNetwork(engine, wanted, mayDial, deadline);
  const name = `linkspan-${owner.instance}-${wanted}`;
  if (mayDial) {
    const internal = wanted === "none";
    const found = await ensureOwn(engine, { name, owner, internal, options: NO_NEIGHBOURS }, deadline);
    if (isDialable(found)) return { name, direct: true };
  }
  if (wanted === "egress") {
    await ensureOwn(engine, { name, owner, internal: false, options: NO_NEIGHBOURS }, deadline);
    return { name, direct: false };
  }
  // An internal network publishes no port. Without masquerading, though, no answer from outside finds its way back to a container.
  const options = { ...NO_NEIGHBOURS, "com.docker.network.bridge.enable_ip_masquerade": "false" };
  await ensureOwn(engine, { name: `${name}-published`, owner, internal: false, options }, deadline);
  return { name: `${name}-published`, direct: false };
}

async function namedNetwork(
  engine: Engine,
  name: string,
  mayDial: boolean,
  deadline: Deadline,
): Promise<ServerNetwork> {
  if (REFUSED.test(name)) {
    throw new Fault("invalid", `the network ${name} would open the engine's host to the server`, {
      hint: "use none, egress or a network of your own",
    });
  }
  const found = await inspectNetwork(engine, name, deadline);
  if (!found)
    throw new Fault("not-found", `the engine has no network ${name}`, {
      hint: `make it with: docker network create ${name}`,
    });
  const direct = mayDial && isDialable(found);
  if (!direct && found.Internal) {
    throw new Fault("unsupported", `the network ${name} is internal and cannot be reached from here`, {
      hint: "use none, egress or a network that is not internal",
    });
  }
  return { name, direct };
}

interface Own {
  name: string;
  owner: NetworkOwner;
  internal: boolean;
  options: Record<string, string>;
}

async function ensureOwn(
  engine: Engine,
  { name, owner, internal, options }: Own,
  deadline: Deadline,
): Promise<NetworkInfo> {
  const found = await inspectNetwork(engine, name, deadline);
  if (found) return found;
  try {
    await createNetwork(
      engine,
      { Name: name, Driver: "bridge", Internal: internal, Options: options, Labels: owner.labels },
      deadline,
    );
  } catch (error) {
    // Somebody else of the same manager was faster.
    if (!(error instanceof Fault) || error.kind !== "conflict") throw error;
  }
  const made = await inspectNetwork(engine, name, deadline);
  if (made) return made;
  throw new Fault("engine-failed", `the network ${name} is gone right after it was made`);
}

/**
 * Whether the bridge of the network is an interface of this process's network: not so behind Docker Desktop, a remote or
 * a rootless engine. Read from /proc, because /sys shows the network of whoever mounted it.
 */
export function isDialable(network: NetworkInfo): boolean {
  if (network.Driver !== "bridge" || process.platform !== "linux") return false;
  const name = network.Options?.[BRIDGE_NAME] ?? `br-${network.Id.slice(0, 12)}`;
  return interfaces().includes(name);
}

function interfaces(): string[] {
  try {
    const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n");
    return lines.map((line) => line.slice(0, line.indexOf(":")).trim());
  } catch {
    return [];
  }
}

/** Whether the network that a container was made for is still there. */
export async function canStart(engine: Engine, container: string, deadline: Deadline): Promise<boolean> {
  const info = await inspectContainer(engine, container, deadline);
  if (!info) return false;
  return info.State.Status === "running" || (await inspectNetwork(engine, networkOf(info), deadline)) !== undefined;
}

function networkOf(info: ContainerInfo): string {
  const [attached] = Object.values(info.NetworkSettings.Networks ?? {});
  return attached?.NetworkID || info.HostConfig.NetworkMode;
}

/** Removes the instance's networks. One that a container was made for stays, even if it does not run. */
export async function removeNetworks(engine: Engine, instance: string, deadline: Deadline): Promise<void> {
  const ours = { label: [`${LABEL.instance}=${instance}`] };
  const networks = await listNetworks(engine, ours, deadline);
  const containers = await listContainers(engine, ours, deadline);
  const infos = await Promise.all(containers.map(({ Id }) => inspectContainer(engine, Id, deadline)));
  const used = new Set(infos.flatMap((info) => (info ? [networkOf(info), info.HostConfig.NetworkMode] : [])));
  const unused = networks.filter(({ Id, Name }) => !used.has(Id) && !used.has(Name));
  await Promise.all(unused.map(({ Id }) => removeNetwork(engine, Id, deadline)));
}
