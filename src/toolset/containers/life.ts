/** Tools that change whether a container runs. */
import * as v from "valibot";
import { at, inspectContainer } from "../../docker/containers.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { affected, containerId, findContainer, nameOf } from "./common.ts";

const GRACE_S = 10;
const GRACE_S_MAX = 240;

const timeout = v.optional(
  v.pipe(
    v.number(),
    v.integer(),
    v.minValue(0),
    v.maxValue(GRACE_S_MAX),
    v.description("Seconds from the request to end until it is killed"),
  ),
  GRACE_S,
);

const result = output(affected);
type Affected = v.InferInput<typeof result>;
const sentence = ({ name, state }: v.InferOutput<typeof result>) => `${name} is ${state}`;

interface Act {
  /** For messages: `starting`. */
  doing: string;
  action: string;
  query?: Record<string, string | number>;
}

/** Acts, and tells the state that came of it. The engine answers "is so already" as success. */
async function act(id: string, { doing, action, query = {} }: Act, call: ToolCall): Promise<Affected> {
  const { Id } = await findContainer(id, call);
  const engine = await call.engine();
  await engine.act(
    { what: `${doing} the container ${id}`, method: "POST", path: at(Id, action), query },
    call.deadline,
  );
  // One that was made with --rm may be gone by now.
  const after = await inspectContainer(engine, Id, call.deadline);
  return { id: Id, name: after ? nameOf(after) : id, state: after?.State.Status ?? "removed" };
}

export const startContainerTool = tool({
  name: "docker_start_container",
  category: "containers",
  title: "Start a container",
  description: "Starts a container that was created or has ended. One that runs is left alone.",
  level: "moderate",
  time: "work",
  idempotent: true,
  input: v.strictObject({ container_id: containerId }),
  output: result,
  example: { container_id: "web" },
  handle: ({ container_id }, call) => act(container_id, { doing: "starting", action: "start" }, call),
  text: sentence,
});

export const stopContainerTool = tool({
  name: "docker_stop_container",
  category: "containers",
  title: "Stop a container",
  description:
    "Asks a container to end and kills it after the timeout. It and its files stay; docker_start_container starts it again.",
  level: "moderate",
  time: "long",
  idempotent: true,
  input: v.strictObject({ container_id: containerId, timeout }),
  output: result,
  example: { container_id: "web", timeout: 5 },
  handle: ({ container_id, timeout: t }, call) =>
    act(container_id, { doing: "stopping", action: "stop", query: { t } }, call),
  text: sentence,
});

export const restartContainerTool = tool({
  name: "docker_restart_container",
  category: "containers",
  title: "Restart a container",
  description: "Stops a container, as docker_stop_container does, and starts it again.",
  level: "moderate",
  time: "long",
  input: v.strictObject({ container_id: containerId, timeout }),
  output: result,
  example: { container_id: "web" },
  handle: ({ container_id, timeout: t }, call) =>
    act(container_id, { doing: "restarting", action: "restart", query: { t } }, call),
  text: sentence,
});

export const pauseContainerTool = tool({
  name: "docker_pause_container",
  category: "containers",
  title: "Pause a container",
  description: "Freezes all processes of a running container; docker_unpause_container lets them go on.",
  level: "moderate",
  time: "quick",
  input: v.strictObject({ container_id: containerId }),
  output: result,
  example: { container_id: "web" },
  handle: ({ container_id }, call) => act(container_id, { doing: "pausing", action: "pause" }, call),
  text: sentence,
});

export const unpauseContainerTool = tool({
  name: "docker_unpause_container",
  category: "containers",
  title: "Unpause a container",
  description: "Lets a paused container go on where it was.",
  level: "moderate",
  time: "quick",
  input: v.strictObject({ container_id: containerId }),
  output: result,
  example: { container_id: "web" },
  handle: ({ container_id }, call) => act(container_id, { doing: "unpausing", action: "unpause" }, call),
  text: sentence,
});

/** A container's name as the engine takes it. */
export const containerName = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/, "expected letters, digits, _ . and -, a letter or digit first"),
);

export const renameContainerTool = tool({
  name: "docker_rename_container",
  category: "containers",
  title: "Rename a container",
  description: "Gives a container another name. Its id stays; other containers find it under the new name.",
  level: "moderate",
  time: "quick",
  input: v.strictObject({ container_id: containerId, new_name: containerName }),
  output: result,
  example: { container_id: "web", new_name: "web-old" },
  handle: ({ container_id, new_name: name }, call) =>
    act(container_id, { doing: "renaming", action: "rename", query: { name } }, call),
  text: sentence,
});

export const killContainerTool = tool({
  name: "docker_kill_container",
  category: "containers",
  title: "Kill a container",
  description:
    "Sends a signal to a container's first process, SIGKILL unless another is named. What it has not written yet is lost; docker_stop_container lets it end by itself first.",
  level: "destructive",
  time: "quick",
  input: v.strictObject({
    container_id: containerId,
    signal: v.optional(
      v.pipe(v.string(), v.regex(/^(SIG)?[A-Z0-9+-]{2,12}$|^[1-9]\d?$/, "expected SIGTERM, HUP or 9")),
      "SIGKILL",
    ),
  }),
  output: result,
  example: { container_id: "web", signal: "SIGTERM" },
  async plan({ container_id, signal }, call) {
    const info = await findContainer(container_id, call);
    const name = nameOf(info);
    const { Status } = info.State;
    const objects = [
      { kind: "container" as const, id: info.Id, name, detail: `${Status}; docker_start_container starts it again` },
    ];
    return { summary: `Send ${signal} to ${name}.`, objects };
  },
  handle: ({ container_id, signal }, call) =>
    act(container_id, { doing: `sending ${signal} to`, action: "kill", query: { signal } }, call),
  text: sentence,
});
