import * as v from "valibot";
import { seenContainers } from "../../compose/observe.ts";
import { LABELS } from "../../compose/project.ts";
import { Fault } from "../../base/fault.ts";
import { inspectContainer } from "../../docker/containers.ts";
import { listNetworks } from "../../docker/networks.ts";
import { listVolumes, removeVolume } from "../../docker/volumes.ts";
import { planOf, removal, removalText, removeAll } from "../removal/remove.ts";
import { containerTarget, networkTarget, type Target } from "../removal/targets.ts";
import { tool, type ToolCall } from "../tool.ts";
import { nameOfProject, hasProject, ONE_PROJECT, runningFields } from "./common.ts";

const input = v.pipe(
  v.strictObject({
    ...runningFields,
    volumes: v.optional(v.pipe(v.boolean(), v.description("Its volumes too, with all their files")), false),
  }),
  v.check((asked) => hasProject(asked), ONE_PROJECT),
);
type Input = v.InferOutput<typeof input>;

export const composeDownTool = tool({
  name: "docker_compose_down",
  category: "compose",
  title: "Take a project down",
  description:
    "Stops and removes all containers and networks of a project, and with volumes: true its volumes. Images stay, and so does what is external. What it was is kept, and docker_undo brings it back.",
  level: "destructive",
  time: "long",
  input,
  output: removal,
  example: { project_name: "shop" },
  plan: async (asked, call) => planOf(await targetsOf(asked, call)),
  async handle(asked, call) {
    return removeAll("docker_compose_down", await targetsOf(asked, call), true, call);
  },
  text: removalText,
});

/** Containers first: networks and volumes are in use as long as they are there. */
async function targetsOf(asked: Input, call: ToolCall): Promise<Target[]> {
  const project = await nameOfProject(asked, call);
  const engine = await call.engine();
  const label = { label: [`${LABELS.project}=${project}`] };
  const targets: Target[] = [];
  for (const { id, name } of await seenContainers(engine, project, call.deadline)) {
    const info = await inspectContainer(engine, id, call.deadline);
    if (info)
      targets.push(stopFirst(await containerTarget(info, { force: true, volumes: asked.volumes }, call), id, name));
  }
  for (const info of await listNetworks(engine, label, call.deadline)) targets.push(networkTarget(info));
  if (asked.volumes) {
    for (const info of await listVolumes(engine, label, call.deadline)) {
      targets.push({
        planned: {
          kind: "volume",
          id: info.Name,
          name: info.Name,
          detail: `${info.Driver}, with all its files`,
        },
        keep: async (keeper) => [await keeper.volume(info)],
        // The engine refuses one that somebody else's container has.
        remove: async (within) => removeVolume(engine, info.Name, within.deadline),
      });
    }
  }
  if (targets.length === 0)
    throw new Fault("not-found", `there is nothing of a project ${project}`, {
      hint: "docker_compose_ps without arguments lists the projects.",
    });
  return targets;
}

/** It may end by itself before it is removed. */
function stopFirst(target: Target, id: string, name: string): Target {
  return {
    ...target,
    async remove(call) {
      const request = {
        what: `stopping ${name}`,
        method: "POST",
        path: `/containers/${id}/stop`,
        patient: true,
      } as const;
      await (await call.engine()).act(request, call.deadline);
      await target.remove(call);
    },
  };
}
