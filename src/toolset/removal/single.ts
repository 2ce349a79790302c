/** Tools that remove one thing. */
import * as v from "valibot";
import { containerId, findContainer } from "../containers/common.ts";
import { findImage, image } from "../images/common.ts";
import { findNetwork, networkId } from "../networks/common.ts";
import { type Tool, tool, type ToolCall } from "../tool.ts";
import { findService, serviceId } from "../swarm/common.ts";
import { findVolume, volumeName } from "../volumes/common.ts";
import { planOf, removal, removalText, removeAll } from "./remove.ts";
import { containerTarget, imageTarget, networkTarget, serviceTarget, type Target, volumeTarget } from "./targets.ts";

/** The two halves that all of them share. */
function removing<I>(name: string, target: (input: I, call: ToolCall) => Promise<Target>) {
  return {
    plan: async (input: I, call: ToolCall) => planOf([await target(input, call)]),
    handle: async (input: I, call: ToolCall) => removeAll(name, [await target(input, call)], true, call),
  };
}

const common = { level: "destructive", time: "long", output: removal, text: removalText } as const;
const KEPT = "What it was is kept, and docker_undo brings it back.";

const containerInput = v.strictObject({
  container_id: containerId,
  force: v.optional(v.pipe(v.boolean(), v.description("Also while it runs; it is killed")), false),
  volumes: v.optional(v.pipe(v.boolean(), v.description("With its volumes that have no name")), false),
});

export const REMOVING_TOOLS = {
  container: tool({
    ...common,
    name: "docker_remove_container",
    category: "containers",
    title: "Remove a container",
    description: `Removes a container that does not run, or with force one that does. ${KEPT} Named volumes stay.`,
    input: containerInput,
    example: { container_id: "web" },
    ...removing(
      "docker_remove_container",
      async ({ container_id, ...how }: v.InferOutput<typeof containerInput>, call) =>
        containerTarget(await findContainer(container_id, call), how, call),
    ),
  }),
  image: tool({
    ...common,
    name: "docker_remove_image",
    category: "images",
    title: "Remove an image",
    description: `Takes a name from an image, and removes the image with its last name. ${KEPT} One that a container uses stays.`,
    input: v.strictObject({ image, force: v.optional(v.boolean(), false), noprune: v.optional(v.boolean(), false) }),
    example: { image: "web:1.0" },
    ...removing("docker_remove_image", async (input: { image: string; force: boolean; noprune: boolean }, call) =>
      imageTarget(
        await findImage(input.image, call),
        { ref: input.image, force: input.force, noprune: input.noprune },
        call,
      ),
    ),
  }),
  network: tool({
    ...common,
    name: "docker_remove_network",
    category: "networks",
    title: "Remove a network",
    description: `Removes a network on which no container runs. ${KEPT}`,
    input: v.strictObject({ network_id: networkId }),
    example: { network_id: "backend" },
    ...removing("docker_remove_network", async ({ network_id }: { network_id: string }, call) =>
      networkTarget(await findNetwork(network_id, call)),
    ),
  }),
  volume: tool({
    ...common,
    name: "docker_remove_volume",
    category: "volumes",
    title: "Remove a volume",
    description: `Removes a volume that no container has, with all its files. ${KEPT}`,
    input: v.strictObject({ volume_name: volumeName, force: v.optional(v.boolean(), false) }),
    example: { volume_name: "data" },
    ...removing("docker_remove_volume", async ({ volume_name }: { volume_name: string }, call) =>
      volumeTarget(await findVolume(volume_name, call), call),
    ),
  }),
  service: tool({
    ...common,
    name: "docker_remove_service",
    category: "swarm",
    title: "Remove a service",
    description:
      "Removes a service of a swarm with all its tasks. Its settings are kept, and docker_undo makes it again; what its tasks wrote into their containers is lost. Volumes stay.",
    input: v.strictObject({ service_id: serviceId }),
    example: { service_id: "web" },
    ...removing("docker_remove_service", async ({ service_id }: { service_id: string }, call) =>
      serviceTarget(await findService(service_id, call), call),
    ),
  }),
} satisfies Record<string, Tool>;
