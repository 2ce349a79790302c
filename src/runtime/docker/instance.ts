/** The engine's description of a container → an Instance. Pure. */
import { BRIDGE_PORT } from "../../../bridge/wire.ts";
import type { ContainerInfo } from "../../docker/containers.ts";
import { LABEL } from "../labels.ts";
import type { Address, Instance, InstanceState } from "../runtime.ts";

const STATES: Record<string, InstanceState> = {
  created: "pending",
  running: "running",
  paused: "paused",
  restarting: "starting",
  removing: "draining",
  exited: "ended",
  dead: "ended",
  // Podman's own words for the same.
  initialized: "pending",
  stopping: "draining",
  stopped: "ended",
};
/** A shell's and the engine's way to say that signal N ended a process: 128 + N. */
const SIGNALLED = 128;
const SIGKILL = 9;
const SIGTERM = 15;

export function instanceOf(info: ContainerInfo, node: string): Instance {
  const labels = info.Config.Labels ?? {};
  const state = STATES[info.State.Status] ?? "ended";
  const startedAt = Date.parse(info.State.StartedAt);
  // An engine writes the year 1 for a container that was never started.
  const started = startedAt > 0 ? startedAt : undefined;
  const health = healthOf(info.State.Health?.Status);
  const exit = state === "ended" && started !== undefined ? { exit: exitOf(info) } : {};
  return {
    id: info.Id,
    name: info.Name.replace(/^\//, ""),
    incarnation: `${info.Id.slice(0, 12)}@${started ?? 0}`,
    specHash: labels[LABEL.spec] ?? "",
    labels,
    node,
    state,
    addresses: state === "running" || state === "paused" ? addressesOf(info) : [],
    since: started ?? Date.parse(info.Created),
    ...(health ? { health } : {}),
    ...(info.HostConfig.Memory ? { memoryLimitBytes: info.HostConfig.Memory } : {}),
    ...exit,
  };
}

/** Its first process is the engine's init, of which alone the engine says whether memory ended it. */
export function endedForMemory(instance: Instance): Instance {
  const { exit, memoryLimitBytes } = instance;
  if (exit?.reason !== "killed") return instance;
  const limit = memoryLimitBytes === undefined ? "" : `: the container's limit is ${memoryLimitBytes} bytes`;
  return { ...instance, exit: { ...exit, reason: "oom", message: `killed for memory${limit}` } };
}

/** The published port where there is one (it is there because the container cannot be dialled), else the container's own addresses. */
function addressesOf(info: ContainerInfo): Address[] {
  const published = info.NetworkSettings.Ports?.[`${BRIDGE_PORT}/tcp`] ?? [];
  const ports = published.filter(({ HostPort }) => HostPort !== "");
  if (ports.length > 0) {
    return ports.slice(0, 1).map(({ HostIp: host, HostPort }) => ({ kind: "tcp", host, port: Number(HostPort) }));
  }
  const networks = Object.values(info.NetworkSettings.Networks ?? {});
  return networks
    .filter(({ IPAddress }) => IPAddress !== "")
    .map(({ IPAddress: host }) => ({ kind: "tcp", host, port: BRIDGE_PORT }));
}

function exitOf({ State, HostConfig }: ContainerInfo): NonNullable<Instance["exit"]> {
  const { ExitCode: code, Error: error, OOMKilled: oom } = State;
  if (oom) {
    return { code, reason: "oom", message: `killed for memory: the container's limit is ${HostConfig.Memory} bytes` };
  }
  if (error !== "") return { code, reason: "crash", message: error };
  if (code === 0) return { code, reason: "finished", message: "ended with exit code 0" };
  const signal = code - SIGNALLED;
  if (signal === SIGKILL || signal === SIGTERM) return { code, reason: "killed", message: `ended by signal ${signal}` };
  return { code, reason: "crash", message: `ended with exit code ${code}` };
}

function healthOf(status: string | undefined): Instance["health"] {
  return status === "starting" || status === "healthy" || status === "unhealthy" ? status : undefined;
}
