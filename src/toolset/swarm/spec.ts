/** From the arguments to the engine's specification of a service. Pure. */
import type { Mount } from "../../docker/container-config.ts";
import type { ServiceSpec } from "../../docker/services.ts";
import { healthOf } from "../containers/spec.ts";
import type { Port, ServiceFields, UpdateConfig } from "./arguments.ts";

const NANO = 1_000_000_000;
const NANO_PER_MS = 1_000_000;

/** Arguments that had to be looked up: paths judged, networks found. Absent where they were not named. */
export interface Resolved {
  mounts?: Mount[];
  /** Ids. */
  networks?: string[];
  /** The node that this engine is: where a path of this machine is meant. */
  node: string;
}

/** The specification with the fields that are named in place of its own. Environment and labels are added to. */
export function withFields(before: ServiceSpec, fields: ServiceFields, resolved: Resolved): ServiceSpec {
  const { TaskTemplate } = before;
  const ContainerSpec = containerWith(TaskTemplate.ContainerSpec, fields, resolved.mounts);
  const constraints = constraintsWith(TaskTemplate.Placement?.Constraints ?? [], ContainerSpec, fields, resolved.node);
  return {
    ...before,
    Labels: { ...before.Labels, ...fields.labels },
    TaskTemplate: {
      ...TaskTemplate,
      ContainerSpec,
      Resources: resourcesWith(TaskTemplate.Resources, fields),
      Placement: { ...TaskTemplate.Placement, ...(constraints ? { Constraints: constraints } : {}) },
      ...(resolved.networks ? { Networks: resolved.networks.map((Target) => ({ Target })) } : {}),
      ...(fields.restart_policy === undefined
        ? {}
        : { RestartPolicy: { ...record(TaskTemplate["RestartPolicy"]), Condition: fields.restart_policy } }),
    },
    Mode: fields.replicas === undefined ? before.Mode : { Replicated: { Replicas: fields.replicas } },
    EndpointSpec: {
      ...before.EndpointSpec,
      ...named({ Mode: fields.endpoint_mode, Ports: fields.ports?.map(portOf) }),
    },
    ...(fields.update_config ? { UpdateConfig: updateWith(record(before["UpdateConfig"]), fields.update_config) } : {}),
  };
}

type ContainerSpec = NonNullable<ServiceSpec["TaskTemplate"]["ContainerSpec"]>;

function containerWith(
  before: ContainerSpec | undefined,
  fields: ServiceFields,
  mounts: Mount[] | undefined,
): ContainerSpec {
  const { environment, health_check, stop_grace_period: graceMs } = fields;
  return {
    Image: "",
    TTY: false,
    ...before,
    ...named({
      Image: fields.image,
      Command: fields.entrypoint,
      Args: fields.command,
      Env: environment && withVariables(before?.Env ?? [], environment),
      Dir: fields.workdir,
      User: fields.user,
      Mounts: mounts,
      Healthcheck: health_check && healthOf(health_check),
      ReadOnly: fields.read_only,
      Init: fields.init,
      CapabilityDrop: fields.cap_drop,
      StopGracePeriod: graceMs === undefined ? undefined : graceMs * NANO_PER_MS,
    }),
  };
}

function withVariables(before: readonly string[], variables: Record<string, string>): string[] {
  const kept = before.filter((one) => !Object.hasOwn(variables, one.split("=", 1)[0] ?? ""));
  return [...kept, ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)];
}

type Resources = ServiceSpec["TaskTemplate"]["Resources"];

function resourcesWith(before: Resources, fields: ServiceFields): NonNullable<Resources> {
  const limits = { MemoryBytes: fields.memory, NanoCPUs: nano(fields.cpus), Pids: fields.pids };
  const reserved = { MemoryBytes: fields.reserve_memory, NanoCPUs: nano(fields.reserve_cpus) };
  return {
    ...before,
    Limits: { ...before?.Limits, ...named(limits) },
    Reservations: { ...before?.Reservations, ...named(reserved) },
  };
}

/** A path was judged on this machine: on another one it may be anything. Undefined where they stay as they are. */
function constraintsWith(
  before: readonly string[],
  { Mounts }: ContainerSpec,
  fields: ServiceFields,
  node: string,
): string[] | undefined {
  if (!fields.constraints && !fields.volumes) return undefined;
  const wanted = [...(fields.constraints ?? before)];
  const here = `node.id==${node}`;
  const bound = (Mounts ?? []).some(({ Type }) => Type === "bind");
  return bound && !wanted.some((one) => one.replaceAll(" ", "") === here) ? [...wanted, here] : wanted;
}

function portOf({ target, published, protocol, mode }: Port) {
  return {
    TargetPort: target,
    Protocol: protocol,
    PublishMode: mode,
    ...(published === undefined ? {} : { PublishedPort: published }),
  };
}

function updateWith(before: Record<string, unknown>, config: UpdateConfig): Record<string, unknown> {
  const { parallelism, delay, order, failure_action, monitor, max_failure_ratio } = config;
  return {
    // The engine takes none for 0, which is all at once.
    Parallelism: 1,
    ...before,
    ...named({
      Parallelism: parallelism,
      Delay: delay === undefined ? undefined : delay * NANO_PER_MS,
      Order: order,
      FailureAction: failure_action,
      Monitor: monitor === undefined ? undefined : monitor * NANO_PER_MS,
      MaxFailureRatio: max_failure_ratio,
    }),
  };
}

function nano(cpus: number | undefined): number | undefined {
  return cpus === undefined ? undefined : Math.round(cpus * NANO);
}

/** Without the fields that nobody named. */
function named(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
