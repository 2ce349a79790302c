/** Tools that make and change services. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { compareVersions } from "../../docker/engine.ts";
import {
  createService,
  listNodes,
  ownNode,
  type ServiceInfo,
  type ServiceSpec,
  serviceSpec,
  updateService,
} from "../../docker/services.ts";
import { imageRef } from "../containers/spec.ts";
import { refuseBorrowed } from "../labels.ts";
import { mountsOf } from "../mounts.ts";
import { findNetwork } from "../networks/common.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { replicas, serviceFields, type ServiceFields } from "./arguments.ts";
import { judgeKept } from "./kept.ts";
import { findService, serviceFacts, serviceId, serviceName, serviceOf } from "./common.ts";
import { type Resolved, withFields } from "./spec.ts";

const result = output({ ...serviceFacts, warnings: v.array(v.string()) });
type Result = v.InferInput<typeof result>;
const LOOK = "docker_inspect_service shows whether its tasks run.";

export const createServiceTool = tool({
  name: "docker_create_service",
  category: "swarm",
  title: "Create a service",
  description: `Makes a service of a swarm: so many equal tasks from an image, on its nodes, which the swarm restarts and replaces. It does not wait for them: ${LOOK} Needs a swarm manager.`,
  level: "moderate",
  time: "work",
  input: v.strictObject({
    image: imageRef,
    name: v.optional(serviceName),
    mode: v.optional(
      v.pipe(v.picklist(["replicated", "global"]), v.description("global: one on each node")),
      "replicated",
    ),
    ...serviceFields,
  }),
  output: result,
  example: { image: "nginx:1.27", name: "web", replicas: 2, ports: ["8080:80"], memory: "256m" },
  async handle({ name = "", mode, ...fields }, call) {
    if (mode === "global" && fields.replicas !== undefined)
      throw new Fault("invalid", "a global service has one task on each node", { hint: "Leave replicas or mode out." });
    const empty: ServiceSpec = {
      Name: name,
      TaskTemplate: { ForceUpdate: 0 },
      Mode: mode === "global" ? { Global: {} } : { Replicated: { Replicas: 1 } },
    };
    const spec = withFields(empty, fields, await resolve(fields, call));
    const { id, warnings } = await createService(await call.engine(), spec, call.deadline);
    return described(id, warnings, call);
  },
  text: ({ name, mode, replicas: count, warnings }) =>
    [`${name} is there, ${mode}${count === undefined ? "" : `, ${count} wanted`}. ${LOOK}`, ...warnings].join("\n"),
});

export const scaleServiceTool = tool({
  name: "docker_scale_service",
  category: "swarm",
  title: "Scale a service",
  description: `Sets how many tasks of a replicated service are to run; 0 stops it and keeps it. It does not wait for them: ${LOOK}`,
  level: "moderate",
  time: "work",
  idempotent: true,
  input: v.strictObject({ service_id: serviceId, replicas }),
  output: result,
  example: { service_id: "web", replicas: 3 },
  async handle({ service_id, replicas: count }, call) {
    const { ID } = await findService(service_id, call);
    const spec = (before: ServiceInfo) => Promise.resolve(scaled(before, count));
    const warnings = await updateService(await call.engine(), ID, { spec }, call.deadline);
    return described(ID, warnings, call);
  },
  text: ({ name, replicas: count, warnings }) => [`${name}: ${count} wanted. ${LOOK}`, ...warnings].join("\n"),
});

/** Faults: `conflict` for what has no replicas. */
function scaled({ Spec }: ServiceInfo, count: number): ServiceSpec {
  if (!Spec.Mode.Replicated)
    throw new Fault("conflict", `${Spec.Name} is not a replicated service`, {
      hint: "A global service follows the nodes: constraints say on which it runs.",
    });
  return { ...Spec, Mode: { Replicated: { ...Spec.Mode.Replicated, Replicas: count } } };
}

export const updateServiceTool = tool({
  name: "docker_update_service",
  category: "swarm",
  title: "Change a service",
  description: `Changes a service, task by task: another image, limits, environment, placement. What is not named stays, and has to be what a tool could give; environment and labels are added to what there is, lists are replaced. rollback goes back to what it was before its last change; force replaces tasks that are as they should be. ${LOOK}`,
  level: "moderate",
  time: "work",
  input: v.pipe(
    v.strictObject({
      service_id: serviceId,
      image: v.optional(imageRef),
      ...serviceFields,
      force: v.optional(v.pipe(v.boolean(), v.description("Replace all tasks"))),
      rollback: v.optional(v.pipe(v.boolean(), v.description("Undo the last change; nothing else with it"))),
    }),
    v.check((input) => Object.keys(input).length > 1, "expected something to change"),
    v.check((input) => !input.rollback || Object.keys(input).length === 2, "expected nothing else with rollback"),
  ),
  output: result,
  example: { service_id: "web", image: "nginx:1.28", update_config: { order: "start-first" } },
  async handle({ service_id, force = false, rollback = false, ...fields }, call) {
    const info = await findService(service_id, call);
    if (rollback && info["PreviousSpec"] === undefined)
      throw new Fault("conflict", `${info.Spec.Name} has not been changed yet`, {
        hint: "There is nothing to go back to.",
      });
    const resolved = await resolve(fields, call);
    const spec = async (before: ServiceInfo) => {
      if (rollback) {
        await judgeKept(v.parse(serviceSpec, before["PreviousSpec"]), resolved.node, call);
        return before.Spec;
      }
      const counted = fields.replicas === undefined ? before.Spec : scaled(before, fields.replicas);
      const changed = withFields(counted, fields, resolved);
      const { TaskTemplate } = changed;
      const ForceUpdate = TaskTemplate.ForceUpdate + (force ? 1 : 0);
      await judgeKept(changed, resolved.node, call);
      return { ...changed, TaskTemplate: { ...TaskTemplate, ForceUpdate } };
    };
    const warnings = await updateService(await call.engine(), info.ID, { spec, back: rollback }, call.deadline);
    return described(info.ID, warnings, call);
  },
  text: ({ name, image, warnings }) => [`${name} is being changed (image ${image}). ${LOOK}`, ...warnings].join("\n"),
});

async function described(id: string, warnings: string[], call: ToolCall): Promise<Result> {
  return { ...serviceOf(await findService(id, call)), warnings };
}

/** Engines before this one take limits of processes and dropped capabilities, and forget them without a word. */
const HARDENING_ENGINE = "20.10";

/** Faults: `unsupported`, `forbidden`, `not-found`, `invalid`. */
async function resolve(fields: ServiceFields, call: ToolCall): Promise<Resolved> {
  const engine = await call.engine();
  // The first question tells an engine that is no manager from one that lacks a network.
  const nodes = await listNodes(engine, {}, call.deadline);
  const old = nodes.find(({ Description }) => {
    const version = Description.Engine?.EngineVersion;
    return version !== undefined && compareVersions(version, HARDENING_ENGINE) < 0;
  });
  if (old && (fields.pids !== undefined || fields.cap_drop !== undefined))
    throw new Fault("unsupported", `${old.Description.Hostname} would run it without pids and cap_drop`, {
      hint: `Update the engines of all nodes to ${HARDENING_ENGINE} or later.`,
    });
  if (fields.image !== undefined) await refuseBorrowed(fields.image, call);
  refuseTemplates(fields);
  const mounts = fields.volumes && (await mountsOf(fields.volumes, call));
  const networks = fields.networks && (await Promise.all(fields.networks.map((name) => swarmNetwork(name, call))));
  return {
    node: await ownNode(engine, call.deadline),
    ...(mounts ? { mounts } : {}),
    ...(networks ? { networks } : {}),
  };
}

/** A swarm fills in `{{…}}` when a task starts: the path would be another one than the one that was judged. */
function refuseTemplates({ volumes = [] }: ServiceFields): void {
  const template = volumes.find(({ source, target }) => `${source}${target}`.includes("{{"));
  if (template)
    throw new Fault("forbidden", "the swarm would make another path of the volume's {{…}}", {
      hint: "Name a path or a volume as it is.",
    });
}

/** Its id. Faults: `not-found`, `forbidden` for the host's own, `invalid` for one of a single machine. */
async function swarmNetwork(name: string, call: ToolCall): Promise<string> {
  const { Id, Driver, ...network } = await findNetwork(name, call);
  if (Driver === "host")
    throw new Fault("forbidden", "the host's own network is not given to a service", {
      hint: "Publish the ports that are needed.",
    });
  if (network["Scope"] !== "swarm")
    throw new Fault("invalid", `the network ${name} is one of this machine alone`, {
      hint: "Take one with the driver overlay (docker_create_network), or none.",
    });
  return Id;
}
