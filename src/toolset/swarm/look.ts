/** Tools that look at services and nodes. */
import * as v from "valibot";
import { listNodes, listServices, listTasks, type NodeInfo, type TaskInfo } from "../../docker/services.ts";
import { filterLists, filters } from "../filters.ts";
import { inOrder, output, page, paged, paging } from "../output.ts";
import { tool } from "../tool.ts";
import { findService, masked, serviceFacts, serviceId, serviceOf } from "./common.ts";

/** Of one service: the newest, which tell why it does not run. */
const TASKS_MAX = 50;
const NANO = 1_000_000_000;

export const listServicesTool = tool({
  name: "docker_list_services",
  category: "swarm",
  title: "List services",
  description: "The services of a swarm: id, name, image, replicas wanted and running, ports. Needs a swarm manager.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ filters, ...paging }),
  output: output({ services: v.array(v.object(serviceFacts)), ...paged }),
  example: { filters: { name: "web" } },
  async handle({ filters: asked, ...paging }, call) {
    const found = await listServices(await call.engine(), filterLists(asked), call.deadline);
    const { items, ...rest } = page(
      inOrder(found, ({ Spec, ID }) => `${Spec.Name} ${ID}`),
      paging,
    );
    return { services: items.map(serviceOf), ...rest };
  },
  text: ({ services, total }) =>
    [
      `${total} services`,
      ...services.map(
        ({ id, name, image, mode, replicas, running, ports }) =>
          `${id.slice(0, 12)}  ${name}  ${image}  ${mode} ${running ?? "?"}/${replicas ?? "each node"}  ${ports.join(", ")}`,
      ),
    ].join("\n"),
});

const task = v.object({
  id: v.string(),
  slot: v.optional(v.number()),
  node: v.pipe(v.string(), v.description("The node's host name")),
  state: v.string(),
  wanted: v.pipe(v.string(), v.description("The state that the swarm wants")),
  at: v.string(),
  message: v.string(),
  error: v.optional(v.string()),
  exit_code: v.optional(v.number()),
  container: v.optional(v.pipe(v.string(), v.description("On that node"))),
});

function taskOf({ ID, Slot, NodeID, DesiredState, Status }: TaskInfo, nodes: readonly NodeInfo[]) {
  const { State, Message, Err, Timestamp, ContainerStatus } = Status;
  const exit = ContainerStatus?.ExitCode;
  return {
    id: ID,
    ...(Slot === undefined ? {} : { slot: Slot }),
    node: nodes.find((node) => node.ID === NodeID)?.Description.Hostname ?? NodeID,
    state: State,
    wanted: DesiredState,
    at: Timestamp,
    message: Message,
    ...(Err ? { error: Err } : {}),
    ...(exit === undefined ? {} : { exit_code: exit }),
    ...(ContainerStatus?.ContainerID ? { container: ContainerStatus.ContainerID } : {}),
  };
}

export const inspectServiceTool = tool({
  name: "docker_inspect_service",
  category: "swarm",
  title: "Inspect a service",
  description:
    "Everything the swarm knows about one service, with its newest tasks, where they run and why they failed. Take it when a service does not run as wanted. Values of environment variables are masked.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ service_id: serviceId }),
  output: output({
    ...serviceFacts,
    update: v.optional(v.string()),
    tasks: v.array(task),
    service: v.pipe(v.record(v.string(), v.unknown()), v.description("The engine's own answer")),
  }),
  example: { service_id: "web" },
  async handle({ service_id }, call) {
    const info = await findService(service_id, call);
    const engine = await call.engine();
    const tasks = await listTasks(engine, { service: [info.ID] }, call.deadline);
    const nodes = await listNodes(engine, {}, call.deadline);
    const { State, Message } = info.UpdateStatus ?? {};
    const wanted = tasks.filter(({ DesiredState, Status }) => DesiredState === "running" && Status.State === "running");
    return {
      ...serviceOf(info),
      running: wanted.length,
      ...(State ? { update: Message ? `${State}: ${Message}` : State } : {}),
      tasks: tasks.slice(0, TASKS_MAX).map((one) => taskOf(one, nodes)),
      service: Object.fromEntries(Object.entries(info).map(([key, value]) => [key, masked(value)])),
    };
  },
  text: ({ name, image, mode, replicas, running, update, tasks }) =>
    [
      `${name}: ${image}, ${mode}, ${running ?? 0} of ${replicas ?? "each node"} running`,
      ...(update ? [`Last change: ${update}`] : []),
      ...tasks.map(
        ({ id, node, state, error, exit_code }) =>
          `${id.slice(0, 12)}  ${node}  ${state}${error ? `: ${error}` : ""}${exit_code ? ` (exit code ${exit_code})` : ""}`,
      ),
    ].join("\n"),
});

const node = v.object({
  id: v.string(),
  hostname: v.string(),
  role: v.string(),
  leader: v.boolean(),
  state: v.string(),
  availability: v.string(),
  address: v.string(),
  engine: v.string(),
  platform: v.string(),
  cpus: v.number(),
  memory_bytes: v.number(),
  labels: v.record(v.string(), v.string()),
});

function nodeOf({ ID, Spec, Description, Status, ManagerStatus }: NodeInfo) {
  const { Hostname, Platform, Resources, Engine } = Description;
  return {
    id: ID,
    hostname: Hostname,
    role: Spec.Role,
    leader: ManagerStatus?.Leader ?? false,
    state: Status.State,
    availability: Spec.Availability,
    address: Status.Addr,
    engine: Engine?.EngineVersion ?? "",
    platform: Platform ? `${Platform.OS}/${Platform.Architecture}` : "",
    cpus: (Resources?.NanoCPUs ?? 0) / NANO,
    memory_bytes: Resources?.MemoryBytes ?? 0,
    labels: Spec.Labels ?? {},
  };
}

export const listNodesTool = tool({
  name: "docker_list_nodes",
  category: "swarm",
  title: "List nodes",
  description:
    "The machines of a swarm: role, state, availability, address, engine version, processors, memory, labels. Needs a swarm manager.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ filters, ...paging }),
  output: output({ nodes: v.array(node), ...paged }),
  example: { filters: { role: "manager" } },
  async handle({ filters: asked, ...paging }, call) {
    const found = await listNodes(await call.engine(), filterLists(asked), call.deadline);
    const { items, ...rest } = page(
      inOrder(found, ({ ID }) => ID),
      paging,
    );
    return { nodes: items.map(nodeOf), ...rest };
  },
  text: ({ nodes, total }) =>
    [
      `${total} nodes`,
      ...nodes.map(
        ({ id, hostname, role, leader, state, availability, address, engine }) =>
          `${id.slice(0, 12)}  ${hostname}  ${leader ? "leader" : role}  ${state}, ${availability}  ${address}  ${engine}`,
      ),
    ].join("\n"),
});
