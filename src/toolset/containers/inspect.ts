import * as v from "valibot";
import { output } from "../output.ts";
import { tool } from "../tool.ts";
import { at } from "../../docker/containers.ts";
import { containerId, findContainer, maskEnvironment, nameOf } from "./common.ts";

export const inspectContainerTool = tool({
  name: "docker_inspect_container",
  category: "containers",
  title: "Inspect a container",
  description:
    "Everything the engine knows about one container: state, exit code, health, image, command, mounts, networks, limits. Values of environment variables are masked.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ container_id: containerId }),
  output: output({
    id: v.string(),
    name: v.string(),
    state: v.string(),
    image: v.string(),
    container: v.pipe(v.record(v.string(), v.unknown()), v.description("The engine's own answer")),
  }),
  example: { container_id: "web" },
  async handle({ container_id }, call) {
    const info = await findContainer(container_id, call);
    const Config = { ...info.Config, Env: maskEnvironment(info.Config.Env) };
    return {
      id: info.Id,
      name: nameOf(info),
      state: info.State.Status,
      image: Config.Image,
      container: { ...info, Config },
    };
  },
  text: ({ name, id, state, image }) => `${name} (${id.slice(0, 12)}): ${state}, image ${image}`,
});

const processes = v.object({
  Titles: v.array(v.string()),
  Processes: v.optional(v.nullable(v.array(v.array(v.string()))), []),
});

export const containerTopTool = tool({
  name: "docker_container_top",
  category: "containers",
  title: "Processes of a container",
  description: "The processes that run inside a running container, with their ids on the engine's host.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ container_id: containerId }),
  output: output({ titles: v.array(v.string()), processes: v.array(v.array(v.string())) }),
  example: { container_id: "web" },
  async handle({ container_id }, call) {
    const { Id } = await findContainer(container_id, call);
    const request = { what: `listing the processes of ${container_id}`, method: "GET", path: at(Id, "top") } as const;
    const found = await (await call.engine()).call(request, processes, call.deadline);
    return { titles: found.Titles, processes: found.Processes ?? [] };
  },
  text: ({ titles, processes: rows }) => [titles, ...rows].map((row) => row.join("  ")).join("\n"),
});

/** ContainerChanges: Kind of a change. */
const KINDS = ["modified", "added", "deleted"] as const;
const changes = v.nullable(v.array(v.object({ Path: v.string(), Kind: v.picklist([0, 1, 2]) })));

export const containerDiffTool = tool({
  name: "docker_container_diff",
  category: "containers",
  title: "Changed files of a container",
  description:
    "Files and folders that were added, modified or deleted in a container since it was made from its image.",
  level: "safe",
  time: "work",
  input: v.strictObject({ container_id: containerId }),
  output: output({ changes: v.array(v.object({ path: v.string(), kind: v.picklist(KINDS) })) }),
  example: { container_id: "web" },
  async handle({ container_id }, call) {
    const { Id } = await findContainer(container_id, call);
    const request = {
      what: `comparing ${container_id} with its image`,
      method: "GET",
      path: at(Id, "changes"),
    } as const;
    const found = await (await call.engine()).call(request, changes, call.deadline);
    return { changes: (found ?? []).map(({ Path, Kind }) => ({ path: Path, kind: KINDS[Kind] })) };
  },
  text: ({ changes: found }) =>
    found.length === 0 ? "Nothing has changed." : found.map(({ path, kind }) => `${kind} ${path}`).join("\n"),
});
