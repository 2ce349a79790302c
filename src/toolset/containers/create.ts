import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { at, createContainer, inspectContainer, removeContainer, startContainer } from "../../docker/containers.ts";
import { Deadline } from "../../base/deadline.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { affected, containerId, findContainer, nameOf } from "./common.ts";
import { changeable, configOf, containerSpec, type ContainerSpec, limitsOf } from "./spec.ts";

const CLEAN_MS = 10_000;

const result = output({ ...affected, ports: v.array(v.string()) });
const sentence = ({ name, id, state, ports }: v.InferOutput<typeof result>) =>
  `${name} (${id.slice(0, 12)}) is ${state}${ports.length > 0 ? `, ${ports.join(", ")}` : ""}`;

export const createContainerTool = tool({
  name: "docker_create_container",
  category: "containers",
  title: "Create a container",
  description:
    "Makes a container from an image that the engine has, without starting it. Ports are published on 127.0.0.1 and volumes are read-only unless asked otherwise.",
  level: "moderate",
  time: "work",
  input: v.strictObject(containerSpec),
  output: result,
  example: { image: "nginx:1.27", name: "web", ports: ["8080:80"], memory: "256m" },
  handle: (spec, call) => create(spec, call),
  text: sentence,
});

export const runContainerTool = tool({
  name: "docker_run_container",
  category: "containers",
  title: "Run a container",
  description:
    "Makes a container from an image that the engine has, and starts it in the background; docker_container_logs shows what it writes. One that cannot be started is removed again.",
  level: "moderate",
  time: "work",
  input: v.strictObject(containerSpec),
  output: result,
  example: { image: "nginx:1.27", name: "web", ports: ["8080:80"], auto_remove: true },
  async handle(spec, call) {
    const made = await create(spec, call);
    const engine = await call.engine();
    try {
      await startContainer(engine, made.id, call.deadline);
    } catch (error) {
      await removeContainer(engine, made.id, Deadline.in(CLEAN_MS)).catch(() => {});
      throw error;
    }
    return { ...made, ...(await described(made.id, call)) };
  },
  text: sentence,
});

async function create(spec: ContainerSpec, call: ToolCall): Promise<v.InferInput<typeof result>> {
  const config = await configOf(spec, call);
  const engine = await call.engine();
  const id = await createContainer(engine, spec.name, config, call.deadline).catch((error: unknown) => {
    const { kind, message } = Fault.from(error);
    if (kind !== "not-found" || !/no such image/i.test(message)) throw error;
    throw new Fault(kind, message, {
      hint: "docker_pull_image gets it from its registry; docker_list_images shows those that are here.",
      cause: error,
    });
  });
  return { id, name: spec.name ?? id.slice(0, 12), state: "created", ports: [], ...(await described(id, call)) };
}

/** Empty where it is gone already: it ended at once and was to be removed. */
async function described(id: string, call: ToolCall): Promise<Partial<v.InferInput<typeof result>>> {
  const info = await inspectContainer(await call.engine(), id, call.deadline);
  if (!info) return { state: "removed" };
  const ports = Object.entries(info.NetworkSettings.Ports ?? {}).flatMap(([inside, outside]) =>
    (outside ?? []).map(({ HostIp, HostPort }) => `${HostIp}:${HostPort}->${inside}`),
  );
  return { name: nameOf(info), state: info.State.Status, ports };
}

const updated = v.object({ Warnings: v.optional(v.nullable(v.array(v.string())), []) });

export const updateContainerTool = tool({
  name: "docker_update_container",
  category: "containers",
  title: "Change a container's limits",
  description:
    "Changes memory, processors, processes or the restart policy of a container, running or not. What is not named stays.",
  level: "moderate",
  time: "quick",
  idempotent: true,
  input: v.pipe(
    v.strictObject({ container_id: containerId, ...changeable }),
    v.check((input) => Object.keys(input).length > 1, "expected something to change"),
  ),
  output: output({ ...affected, warnings: v.array(v.string()) }),
  example: { container_id: "web", memory: "512m" },
  async handle({ container_id, ...changes }, call) {
    const info = await findContainer(container_id, call);
    const request = {
      what: `changing ${container_id}`,
      method: "POST",
      path: at(info.Id, "update"),
      body: limitsOf(changes),
    } as const;
    const { Warnings } = await (await call.engine()).call(request, updated, call.deadline);
    return { id: info.Id, name: nameOf(info), state: info.State.Status, warnings: Warnings ?? [] };
  },
  text: ({ name, warnings }) => [`${name} has been changed`, ...warnings].join("\n"),
});
