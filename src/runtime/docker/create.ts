/** What a container is created with: a pure function of the spec, its owner, the image and the place. */
import { posix } from "node:path";
import { BRIDGE_ENV, BRIDGE_PORT } from "../../../bridge/wire.ts";
import { Fault } from "../../base/fault.ts";
import type { ContainerConfig, HostConfig, Mount } from "../../docker/container-config.ts";
import type { ServerSpec } from "../../model/server-spec.ts";
import { splitEnvironment, type Variables } from "./environment.ts";
import { BRIDGE_HOME, bridgeCommand, HEALTH_COMMAND } from "./inject.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import type { Labels, Ownership } from "../runtime.ts";

/** What is used of an image. Its health check and exposed ports have no say, its labels and volumes are made harmless. */
export interface ImageFacts {
  /** `sha256:…` */
  id: string;
  entrypoint: string[];
  cmd: string[];
  env: string[];
  user: string;
  workdir: string;
  labels: Labels;
  volumes: string[];
  /** Of images that Linkspan has made itself: what they need to run. Wins over the image's environment, not over the spec's. */
  ownEnv?: Variables;
  /** The entrypoint stays whatever the spec's command says: that has chosen the program already. */
  ownsCommand?: true;
}

export interface Place {
  bridgeVolume: string;
  /** The network's name. */
  network: string;
  /** The engine host's address on which the bridge's port is published; absent where the container's own is dialled. */
  publishOn: string | undefined;
  mounts: Mount[];
  /** Whether the engine takes an owner of a tmpfs: Podman does not, and needs none. */
  tmpfsOwner: boolean;
}

/** Inside the container nobody listens there. */
const NO_RESOLVER = "127.0.0.1";
const NANO = 1_000_000_000;
const NANO_PER_MS = 1_000_000;
/** Of the engine's own log of one container, in two files. */
const LOG_BYTES = "5m";

export function containerConfig(spec: ServerSpec, owner: Ownership, image: ImageFacts, place: Place): ContainerConfig {
  const environment = { ...splitEnvironment(image.env, spec.env, image.ownEnv).bridge, ...BRIDGE_ENV };
  const user = spec.user ?? image.user;
  const workdir = spec.workdir ?? image.workdir;
  const port = `${BRIDGE_PORT}/tcp`;
  return {
    Image: image.id,
    Entrypoint: bridgeCommand({
      tokenSha256: owner.tokenSha256,
      messageBytes: spec.limits.message,
      stopMs: spec.stopTimeout,
      leaseMs: owner.leaseMs,
      policy: spec.session === "shared" ? "shared" : "process",
      spare: spec.session === "container" ? 0 : spec.spare,
      awaitConfigure: owner.configured,
    }),
    Cmd: serverArgv(spec, image),
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ...(user === "" ? {} : { User: user }),
    ...(workdir === "" ? {} : { WorkingDir: workdir }),
    Labels: containerLabels(spec, owner, image),
    Healthcheck: {
      Test: HEALTH_COMMAND,
      Interval: spec.health.interval * NANO_PER_MS,
      Timeout: spec.health.timeout * NANO_PER_MS,
      StartPeriod: spec.health.startPeriod * NANO_PER_MS,
      Retries: spec.health.retries,
    },
    StopSignal: "SIGTERM",
    StopTimeout: Math.ceil(spec.stopTimeout / 1000),
    ...(place.publishOn === undefined ? {} : { ExposedPorts: { [port]: {} } }),
    HostConfig: {
      ...hardening(spec),
      Tmpfs: tmpfsOf(spec, place.tmpfsOwner ? user : "", image.volumes, place.mounts),
      NetworkMode: place.network,
      // Else the engine's resolver would ask the world on behalf of a server that must not reach it (CVE-2024-29018).
      ...(spec.network === "none" ? { Dns: [NO_RESOLVER] } : {}),
      PublishAllPorts: false,
      ...(place.publishOn === undefined
        ? {}
        : { PortBindings: { [port]: [{ HostIp: place.publishOn, HostPort: "" }] } }),
      Mounts: [{ Type: "volume", Source: place.bridgeVolume, Target: BRIDGE_HOME, ReadOnly: true }, ...place.mounts],
    },
  };
}

/** The image's entrypoint and command, or what the spec puts in their place, as Docker combines them. */
function serverArgv(spec: ServerSpec, image: ImageFacts): string[] {
  const command = image.ownsCommand ? undefined : spec.command;
  const entrypoint = command ?? image.entrypoint;
  // An entrypoint that replaces the image's does not get the image's arguments.
  const args = spec.args ?? (command ? [] : image.cmd);
  const argv = [...entrypoint, ...args];
  if (argv.length > 0) return argv;
  throw new Fault("invalid", `the image ${spec.image} says nothing about what to run`, { hint: "give a command" });
}

function hardening({ limits, capAdd, readOnly }: ServerSpec): HostConfig {
  return {
    Memory: limits.memory,
    // The same figure for both: no swap beside the memory.
    MemorySwap: limits.memory,
    NanoCpus: Math.round(limits.cpus * NANO),
    PidsLimit: limits.pids,
    CapDrop: ["ALL"],
    CapAdd: capAdd,
    SecurityOpt: ["no-new-privileges"],
    Privileged: false,
    ReadonlyRootfs: readOnly,
    // A Bun as PID 1 does not reap the orphans of its server.
    Init: true,
    IpcMode: "private",
    RestartPolicy: { Name: "no" },
    LogConfig: { Type: "json-file", Config: { "max-size": LOG_BYTES, "max-file": "2" } },
  };
}

/** The owner's labels; those that the image brings are blanked, so that no other tool acts on them. */
function containerLabels(spec: ServerSpec, owner: Ownership, image: ImageFacts): Labels {
  const foreign = image.ownsCommand ? [] : Object.keys(image.labels);
  const blank = Object.fromEntries(foreign.map((key) => [key, ""]));
  const ours = {
    [LABEL.managedBy]: MANAGED_BY,
    [LABEL.instance]: owner.instance,
    [LABEL.server]: spec.name,
    [LABEL.spec]: owner.specHash,
  };
  return { ...blank, ...spec.labels, ...owner.labels, ...ours };
}

/**
 * The tmpfs mounts: /tmp, and with a read-only root every path that the image declares a volume. The engine would make
 * those writable disk space without a limit. Nothing where the spec mounts something itself.
 */
function tmpfsOf(
  { limits, readOnly }: ServerSpec,
  user: string,
  volumes: string[],
  mounts: Mount[],
): Record<string, string> {
  const inside = volumes.find((path) => `${posix.normalize(path)}/`.startsWith(`${BRIDGE_HOME}/`));
  if (inside) throw new Fault("invalid", `the image declares a volume at ${inside}, where the bridge is`);
  const paths = new Set(["/tmp", ...(readOnly ? volumes : [])]);
  for (const { Target } of mounts) paths.delete(Target);
  // World-writable and sticky for every user. Older engines take the mode of the image's folder instead: then it has to be his.
  const [, uid, gid] = /^(\d+)(?::(\d+))?$/.exec(user) ?? [];
  const owner = [uid && `uid=${uid}`, gid && `gid=${gid}`].filter(Boolean);
  const options = ["rw,nosuid,nodev,noexec,mode=1777", ...owner, `size=${limits.tmp}`].join(",");
  return Object.fromEntries([...paths].map((path) => [path, options]));
}

/** The engine's description with environment values masked: they may be secrets. */
export function maskDescription(raw: Record<string, unknown>): Record<string, unknown> {
  const { Config: config } = raw;
  if (typeof config !== "object" || config === null || !("Env" in config) || !Array.isArray(config.Env)) return raw;
  const env: string[] = config.Env.map((line: unknown) => String(line).replace(/=.*$/s, "=***"));
  return { ...raw, Config: { ...config, Env: env } };
}
