/** What the tools about services share. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { inspectService, type ServiceInfo } from "../../docker/services.ts";
import { maskEnvironment } from "../containers/common.ts";
import type { ToolCall } from "../tool.ts";

/** The engine's rule for a service's name, which is also a host name. */
export const serviceName = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z0-9]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?$/, "expected letters, digits, _ and -, 63 at most"),
);
export const serviceId = v.pipe(serviceName, v.description("The service's name or id"));

/** Faults: `not-found`; `unsupported` where the engine is no manager of a swarm. */
export async function findService(ref: string, call: ToolCall): Promise<ServiceInfo> {
  const found = await inspectService(await call.engine(), ref, call.deadline);
  if (found) return found;
  throw new Fault("not-found", `there is no service ${ref}`, { hint: "docker_list_services shows those that exist." });
}

export const serviceFacts = {
  id: v.string(),
  name: v.string(),
  image: v.string(),
  mode: v.pipe(v.string(), v.description("replicated, global, or a job")),
  replicas: v.optional(v.pipe(v.number(), v.description("Wanted; absent for global services"))),
  running: v.optional(v.number()),
  ports: v.array(v.string()),
  labels: v.record(v.string(), v.string()),
};

export function serviceOf({ ID, Spec, Endpoint, ServiceStatus }: ServiceInfo) {
  const { Replicated, Global } = Spec.Mode;
  return {
    id: ID,
    name: Spec.Name,
    image: (Spec.TaskTemplate.ContainerSpec?.Image ?? "").replace(/@sha256:[0-9a-f]{64}$/, ""),
    mode: Replicated ? "replicated" : Global ? "global" : "job",
    ...(Replicated ? { replicas: Replicated.Replicas } : {}),
    ...(ServiceStatus ? { running: ServiceStatus.RunningTasks } : {}),
    ports: (Endpoint?.Ports ?? []).map(
      ({ Protocol, TargetPort, PublishedPort, PublishMode }) =>
        `${PublishedPort ?? "any"}->${TargetPort}/${Protocol} (${PublishMode})`,
    ),
    labels: Spec.Labels ?? {},
  };
}

/** The engine's answer without the values of environment variables, wherever it has them: the specification, the one before. */
export function masked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(masked);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      key === "Env" && Array.isArray(one) ? maskEnvironment(one.map(String)) : masked(one),
    ]),
  );
}
