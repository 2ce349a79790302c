/** What a container that a tool makes may have: an allowlist. Whatever is not named here never reaches the engine. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import type { ContainerConfig, HostConfig } from "../../docker/container-config.ts";
import { IMAGE_REF } from "../../docker/images.ts";
import { inspectNetwork } from "../../docker/networks.ts";
import { byteSize, duration } from "../../model/units.ts";
import { foreignLabels, refuseBorrowed } from "../labels.ts";
import { mountsOf, volumes } from "../mounts.ts";
import type { ToolCall } from "../tool.ts";
import { argv, environment, userName, workdir } from "./arguments.ts";
import { containerName } from "./life.ts";
import { portBindings, ports } from "./ports.ts";

const MIB = 1024 ** 2;
const TIB = 1024 ** 4;
const NANO = 1_000_000_000;
const NANO_PER_MS = 1_000_000;

/** An image's name or id. */
export const imageRef = v.pipe(
  v.string(),
  v.maxLength(512),
  v.regex(IMAGE_REF, "expected an image such as nginx:1.27"),
);
const memory = byteSize(6 * MIB, 1024 * TIB, "Such as 512m or 1g; a number is bytes");
const cpus = v.pipe(v.number(), v.minValue(0.01), v.maxValue(1024), v.description("Such as 0.5 of one processor"));
const pids = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1_000_000));
const restartPolicy = v.picklist(["no", "on-failure", "always", "unless-stopped"]);
const network = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/, "expected a network's name"),
  v.description("A network's name, bridge or none"),
);
const labels = v.pipe(
  v.record(
    v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9_./-]{0,254}$/)),
    v.pipe(v.string(), v.maxLength(64 * 1024)),
  ),
  foreignLabels,
  v.description('{"app": "web"}'),
);
const healthCheck = v.strictObject({
  command: argv,
  interval: v.optional(duration(1_000, 3_600_000), 30_000),
  timeout: v.optional(duration(1_000, 600_000), 30_000),
  start_period: v.optional(duration(0, 3_600_000), 0),
  retries: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100)), 3),
});
const capability = v.pipe(v.string(), v.regex(/^(CAP_)?[A-Z_]{2,40}$/, "expected ALL or a capability such as NET_RAW"));

/** What can be changed of a container that exists, too. */
export const changeable = {
  memory: v.optional(memory),
  cpus: v.optional(cpus),
  pids: v.optional(v.pipe(pids, v.description("Processes and threads at most"))),
  restart_policy: v.optional(restartPolicy),
};

export const containerSpec = {
  image: imageRef,
  name: v.optional(containerName),
  command: v.optional(argv),
  entrypoint: v.optional(argv),
  environment: v.optional(environment, {}),
  ports: v.optional(ports, []),
  volumes: v.optional(volumes, []),
  network: v.optional(network),
  user: v.optional(userName),
  workdir: v.optional(workdir),
  labels: v.optional(labels, {}),
  health_check: v.optional(healthCheck),
  ...changeable,
  mem_limit: v.optional(byteSize(6 * MIB, 1024 * TIB, "Another name of memory")),
  cpu_shares: v.optional(v.pipe(v.number(), v.integer(), v.minValue(2), v.maxValue(262_144))),
  read_only: v.optional(v.pipe(v.boolean(), v.description("Read-only root file system")), false),
  cap_drop: v.optional(v.array(capability), []),
  auto_remove: v.optional(v.pipe(v.boolean(), v.description("Removed as soon as it ends")), false),
  remove: v.optional(v.pipe(v.boolean(), v.description("Another name of auto_remove")), false),
  detach: v.optional(v.pipe(v.boolean(), v.description("Always so: no call waits for the end of a container"))),
  init: v.optional(v.pipe(v.boolean(), v.description("A first process that reaps orphans")), false),
  privileged: v.optional(
    v.pipe(v.boolean(), v.description("Only where whoever configures this server allows it")),
    false,
  ),
};

const schema = v.strictObject(containerSpec);
export type ContainerSpec = v.InferOutput<typeof schema>;

/** Faults: `forbidden` for what the policy does not allow, `invalid`. */
export async function configOf(spec: ContainerSpec, call: ToolCall): Promise<ContainerConfig> {
  if (spec.privileged && !call.settings.allowPrivileged)
    throw new Fault("forbidden", "a privileged container is not allowed", {
      hint: "Leave privileged out; whoever configures this server decides it with SAFETY_ALLOW_PRIVILEGED_CONTAINERS=true.",
    });
  await refuseHostNetwork(spec.network, call);
  await refuseBorrowed(spec.image, call);
  const { exposed, bindings } = portBindings(spec.ports);
  const mounts = await mountsOf(spec.volumes, call);
  return {
    Image: spec.image,
    Env: Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`),
    Labels: spec.labels,
    ExposedPorts: exposed,
    ...(spec.command ? { Cmd: spec.command } : {}),
    ...(spec.entrypoint ? { Entrypoint: spec.entrypoint } : {}),
    ...(spec.user === undefined ? {} : { User: spec.user }),
    ...(spec.workdir === undefined ? {} : { WorkingDir: spec.workdir }),
    ...(spec.health_check ? { Healthcheck: healthOf(spec.health_check) } : {}),
    HostConfig: {
      ...limitsOf({ ...spec, memory: spec.memory ?? spec.mem_limit }),
      PortBindings: bindings,
      Mounts: mounts,
      CapDrop: spec.cap_drop,
      ReadonlyRootfs: spec.read_only,
      AutoRemove: spec.auto_remove || spec.remove,
      Init: spec.init,
      Privileged: spec.privileged,
      ...(spec.network === undefined ? {} : { NetworkMode: spec.network }),
      ...(spec.cpu_shares === undefined ? {} : { CpuShares: spec.cpu_shares }),
    },
  };
}

/** Under its name, and under its id. */
export async function refuseHostNetwork(network: string | undefined, call: ToolCall): Promise<void> {
  if (network === undefined) return;
  const found = network === "host" ? undefined : await inspectNetwork(await call.engine(), network, call.deadline);
  if (network === "host" || found?.Driver === "host")
    throw new Fault("forbidden", "the host's own network is not given to a container", {
      hint: "Publish the ports that are needed.",
    });
}

type Limits = Partial<Pick<ContainerSpec, "memory" | "cpus" | "pids" | "restart_policy">>;

/** Of what is named only: an update leaves the rest as it is. */
export function limitsOf({ memory: bytes, cpus: count, pids: processes, restart_policy: policy }: Limits): HostConfig {
  return {
    ...(bytes === undefined ? {} : { Memory: bytes, MemorySwap: bytes }),
    ...(count === undefined ? {} : { NanoCpus: Math.round(count * NANO) }),
    ...(processes === undefined ? {} : { PidsLimit: processes }),
    ...(policy === undefined ? {} : { RestartPolicy: { Name: policy } }),
  };
}

/** As the engine wants it, in nanoseconds. */
export function healthOf({
  command,
  interval,
  timeout,
  start_period,
  retries,
}: NonNullable<ContainerSpec["health_check"]>) {
  return {
    Test: ["CMD", ...command],
    Interval: interval * NANO_PER_MS,
    Timeout: timeout * NANO_PER_MS,
    StartPeriod: start_period * NANO_PER_MS,
    Retries: retries,
  };
}
