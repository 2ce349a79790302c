/** The engine's calls about the services, tasks and nodes of a swarm. Any other engine answers them with `unsupported`. */
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type Filters, orAbsent } from "./containers.ts";
import type { Engine } from "./engine.ts";

const text = v.optional(v.string(), "");
const strings = v.optional(v.nullable(v.array(v.string())));
const stringMap = v.optional(v.nullable(v.record(v.string(), v.string())));

/** What Linkspan reads of a service's specification; everything else is kept as it came. */
export const serviceSpec = v.looseObject({
  Name: v.string(),
  Labels: stringMap,
  TaskTemplate: v.looseObject({
    ContainerSpec: v.optional(
      v.looseObject({
        Image: text,
        Env: strings,
        TTY: v.optional(v.boolean(), false),
        Mounts: v.optional(v.nullable(v.array(v.looseObject({ Type: text })))),
      }),
    ),
    Resources: v.optional(
      v.looseObject({ Limits: v.optional(v.looseObject({})), Reservations: v.optional(v.looseObject({})) }),
    ),
    Placement: v.optional(v.looseObject({ Constraints: strings })),
    Networks: v.optional(v.nullable(v.array(v.looseObject({ Target: v.string() })))),
    ForceUpdate: v.optional(v.number(), 0),
  }),
  Mode: v.looseObject({
    Replicated: v.optional(v.looseObject({ Replicas: v.optional(v.number(), 1) })),
    Global: v.optional(v.looseObject({})),
  }),
  EndpointSpec: v.optional(v.looseObject({})),
});
export type ServiceSpec = v.InferOutput<typeof serviceSpec>;

const port = v.object({
  Protocol: v.optional(v.string(), "tcp"),
  TargetPort: v.number(),
  PublishedPort: v.optional(v.number()),
  PublishMode: v.optional(v.string(), "ingress"),
});

const serviceInfo = v.looseObject({
  ID: v.string(),
  Version: v.object({ Index: v.number() }),
  CreatedAt: text,
  UpdatedAt: text,
  Spec: serviceSpec,
  Endpoint: v.optional(v.looseObject({ Ports: v.optional(v.nullable(v.array(port))) })),
  UpdateStatus: v.optional(v.looseObject({ State: text, Message: text })),
  /** Told by `listServices` only, and by engines from API 1.41 on. */
  ServiceStatus: v.optional(
    v.object({ RunningTasks: v.optional(v.number(), 0), DesiredTasks: v.optional(v.number(), 0) }),
  ),
});
export type ServiceInfo = v.InferOutput<typeof serviceInfo>;

export async function listServices(engine: Engine, filters: Filters, deadline: Deadline): Promise<ServiceInfo[]> {
  const query = { filters: JSON.stringify(filters), status: true };
  const request = { what: "listing services", method: "GET", path: "/services", query } as const;
  return engine.call(request, v.array(serviceInfo), deadline);
}

/** By name or id; `undefined` where there is none. */
export async function inspectService(
  engine: Engine,
  ref: string,
  deadline: Deadline,
): Promise<ServiceInfo | undefined> {
  const request = { what: `inspecting the service ${ref}`, method: "GET", path: serviceAt(ref) } as const;
  return orAbsent(engine.call(request, serviceInfo, deadline));
}

const warnings = v.optional(v.nullable(v.array(v.string())), []);
const created = v.object({ ID: v.string(), Warning: text, Warnings: warnings });
const updated = v.object({ Warnings: warnings });

/** Faults: `conflict` where the name is taken, `not-found` where a network, secret or config is absent. */
export async function createService(
  engine: Engine,
  spec: ServiceSpec,
  deadline: Deadline,
): Promise<{ id: string; warnings: string[] }> {
  const what = `creating the service ${spec.Name || `from ${spec.TaskTemplate.ContainerSpec?.Image ?? ""}`}`;
  const request = { what, method: "POST", path: "/services/create", body: spec } as const;
  const { ID, Warning, Warnings } = await engine.call(request, created, deadline);
  return { id: ID, warnings: [...(Warning ? [Warning] : []), ...(Warnings ?? [])] };
}

/** Others change services too, and the engine takes only changes of its newest version. */
const ATTEMPTS_MAX = 5;

/**
 * Reads the service, changes its specification and writes it, again where somebody else was faster. `back`: to the
 * specification before the last change. Resolves with warnings. Faults: `not-found`, `conflict`.
 */
export async function updateService(
  engine: Engine,
  ref: string,
  change: { spec: (before: ServiceInfo) => Promise<ServiceSpec>; back?: boolean },
  deadline: Deadline,
): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    const before = await inspectService(engine, ref, deadline);
    if (!before) throw new Fault("not-found", `there is no service ${ref}`);
    const body = await change.spec(before);
    const query = { version: before.Version.Index, rollback: change.back ? "previous" : undefined };
    const path = `${serviceAt(before.ID)}/update`;
    const request = { what: `changing the service ${ref}`, method: "POST", path, query, body } as const;
    try {
      return (await engine.call(request, updated, deadline)).Warnings ?? [];
    } catch (error) {
      if (!(error instanceof Fault && error.kind === "conflict") || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

export async function removeService(engine: Engine, id: string, deadline: Deadline): Promise<void> {
  await engine.act({ what: `removing the service ${id}`, method: "DELETE", path: serviceAt(id) }, deadline);
}

const taskInfo = v.object({
  ID: v.string(),
  Slot: v.optional(v.number()),
  NodeID: text,
  CreatedAt: text,
  DesiredState: text,
  Status: v.object({
    Timestamp: text,
    State: text,
    Message: text,
    Err: text,
    ContainerStatus: v.optional(v.nullable(v.object({ ContainerID: text, ExitCode: v.optional(v.number()) }))),
  }),
});
export type TaskInfo = v.InferOutput<typeof taskInfo>;

/** Newest first. */
export async function listTasks(engine: Engine, filters: Filters, deadline: Deadline): Promise<TaskInfo[]> {
  const query = { filters: JSON.stringify(filters) };
  const request = { what: "listing tasks", method: "GET", path: "/tasks", query } as const;
  const tasks = await engine.call(request, v.array(taskInfo), deadline);
  return tasks.toSorted((left, right) => Date.parse(right.CreatedAt) - Date.parse(left.CreatedAt));
}

const nodeInfo = v.object({
  ID: v.string(),
  Spec: v.object({ Labels: stringMap, Role: text, Availability: text }),
  Description: v.object({
    Hostname: text,
    Platform: v.optional(v.object({ Architecture: text, OS: text })),
    Resources: v.optional(v.object({ NanoCPUs: v.optional(v.number(), 0), MemoryBytes: v.optional(v.number(), 0) })),
    Engine: v.optional(v.object({ EngineVersion: text })),
  }),
  Status: v.object({ State: text, Message: text, Addr: text }),
  ManagerStatus: v.optional(v.nullable(v.object({ Leader: v.optional(v.boolean(), false), Reachability: text }))),
});
export type NodeInfo = v.InferOutput<typeof nodeInfo>;

export async function listNodes(engine: Engine, filters: Filters, deadline: Deadline): Promise<NodeInfo[]> {
  const query = { filters: JSON.stringify(filters) };
  return engine.call({ what: "listing nodes", method: "GET", path: "/nodes", query }, v.array(nodeInfo), deadline);
}

const membership = v.object({ Swarm: v.object({ NodeID: text }) });

/** The id of the node that the engine itself is; empty where it is in no swarm. */
export async function ownNode(engine: Engine, deadline: Deadline): Promise<string> {
  const request = { what: "asking the engine for its swarm", method: "GET", path: "/info" } as const;
  return (await engine.call(request, membership, deadline)).Swarm.NodeID;
}

export function serviceAt(ref: string): string {
  return `/services/${encodeURIComponent(ref)}`;
}
