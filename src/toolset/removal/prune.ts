/**
 * Tools that remove what is not in use. They never call the engine's own prune: what goes is what the plan has shown, each
 * by its id and without force, so that nothing that came into use meanwhile is lost.
 */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { inspectContainer } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { inspectImage } from "../../docker/images.ts";
import { listNetworks } from "../../docker/networks.ts";
import { listVolumes, volumeUses } from "../../docker/volumes.ts";
import { filterLists, filters } from "../filters.ts";
import { momentOf } from "../times.ts";
import { type Tool, tool, type ToolCall } from "../tool.ts";
import { planOf, removal, removalText, removeAll } from "./remove.ts";
import { containerTarget, imageTarget, networkTarget, type Target, UNNAMED_VOLUME, volumeTarget } from "./targets.ts";

type Lists = Record<string, string[]>;

/** What the engine's own prune knows: labels, and an age. */
const pruneFilters = v.pipe(
  filters,
  v.check(
    (asked) => Object.keys(asked ?? {}).every((key) => ["label", "until", "dangling", "all"].includes(key)),
    "expected label or until",
  ),
);
const forceAll = v.optional(v.pipe(v.boolean(), v.description("Another name of all")), false);

/** Made before the moment of `until`, where there is one. */
function oldEnough({ until }: Lists): (createdSeconds: number) => boolean {
  const [moment] = until ?? [];
  if (moment === undefined) return () => true;
  const bound = momentOf(moment);
  if (Number.isNaN(bound)) throw new Fault("invalid", "until is neither an age such as 24h nor a time");
  return (created) => created < bound;
}

const listedContainers = v.array(
  v.object({
    Id: v.string(),
    Created: v.number(),
    State: v.optional(v.string(), ""),
    ImageID: v.optional(v.string(), ""),
    NetworkSettings: v.optional(
      v.nullable(
        v.object({
          Networks: v.optional(
            v.nullable(v.record(v.string(), v.object({ NetworkID: v.optional(v.string(), "") }))),
            {},
          ),
        }),
      ),
    ),
    HostConfig: v.optional(v.object({ NetworkMode: v.optional(v.string(), "") }), {}),
  }),
);

async function containers(engine: Engine, lists: Lists, call: ToolCall) {
  const query = { all: true, filters: JSON.stringify(lists) };
  return engine.call(
    { what: "listing containers", method: "GET", path: "/containers/json", query },
    listedContainers,
    call.deadline,
  );
}

async function stopped(lists: Lists, call: ToolCall): Promise<Target[]> {
  const engine = await call.engine();
  const old = oldEnough(lists);
  const { label = [] } = lists;
  const found = await containers(engine, { label, status: ["created", "exited", "dead"] }, call);
  const infos = await Promise.all(
    found.filter(({ Created }) => old(Created)).map(({ Id }) => inspectContainer(engine, Id, call.deadline)),
  );
  const targets = infos.flatMap((info) =>
    info ? [containerTarget(info, { force: false, volumes: false }, call)] : [],
  );
  return Promise.all(targets);
}

const listedImages = v.array(
  v.object({ Id: v.string(), Created: v.number(), RepoTags: v.optional(v.nullable(v.array(v.string()))) }),
);

async function unusedImages(lists: Lists, all: boolean, call: ToolCall): Promise<Target[]> {
  const engine = await call.engine();
  const old = oldEnough(lists);
  const { label = [] } = lists;
  const query = { filters: JSON.stringify({ label, ...(all ? {} : { dangling: ["true"] }) }) };
  const images = await engine.call(
    { what: "listing images", method: "GET", path: "/images/json", query },
    listedImages,
    call.deadline,
  );
  const used = new Set((await containers(engine, {}, call)).map(({ ImageID }) => ImageID));
  const targets: Target[] = [];
  for (const { Id } of images.filter((image) => old(image.Created) && !used.has(image.Id))) {
    const info = await inspectImage(engine, Id, call.deadline);
    // One by one and without force, so that the engine keeps the last one where a container came to use it.
    if (info) targets.push(await imageTarget(info, { ref: Id, force: false, noprune: false, everyName: true }, call));
  }
  return targets;
}

async function unusedNetworks(lists: Lists, call: ToolCall): Promise<Target[]> {
  const engine = await call.engine();
  const old = oldEnough(lists);
  const { label = [] } = lists;
  const used = new Set(
    (await containers(engine, {}, call)).flatMap(({ NetworkSettings, HostConfig }) => [
      HostConfig.NetworkMode,
      ...Object.entries(NetworkSettings?.Networks ?? {}).flatMap(([name, { NetworkID }]) => [name, NetworkID]),
    ]),
  );
  const networks = await listNetworks(engine, { label, type: ["custom"] }, call.deadline);
  return (
    networks
      .filter(({ Id, Name, Created }) => !used.has(Id) && !used.has(Name) && old(Date.parse(Created) / 1000))
      // An overlay may be in use on another node; the engine refuses it then.
      .map(networkTarget)
  );
}

async function unusedVolumes(lists: Lists, all: boolean, call: ToolCall): Promise<Target[]> {
  const engine = await call.engine();
  const { label = [] } = lists;
  const used = new Set((await volumeUses(engine, undefined, call.deadline)).map(({ volume }) => volume));
  const volumes = await listVolumes(engine, { label }, call.deadline);
  const targets = volumes
    .filter(({ Name }) => !used.has(Name) && (all || UNNAMED_VOLUME.test(Name)))
    .map((one) => volumeTarget(one, call));
  return Promise.all(targets);
}

const pruned = v.object({ SpaceReclaimed: v.optional(v.number(), 0) });
const cacheUse = v.object({
  BuildCache: v.optional(
    v.nullable(v.array(v.object({ Size: v.optional(v.number(), 0), InUse: v.optional(v.boolean(), false) }))),
  ),
});

/** What builds have kept to be faster: nothing is lost that a build would not make again. */
async function buildCache(call: ToolCall): Promise<Target[]> {
  const engine = await call.engine();
  const df = { what: "measuring the build cache", method: "GET", path: "/system/df", patient: true } as const;
  const free = ((await engine.call(df, cacheUse, call.deadline)).BuildCache ?? []).filter(({ InUse }) => !InUse);
  if (free.length === 0) return [];
  const bytes = free.reduce((sum, { Size }) => sum + Size, 0);
  return [
    {
      planned: { kind: "build-cache", id: "build-cache", name: "build-cache", detail: `${free.length} records`, bytes },
      keep: () => Promise.resolve([]),
      async remove({ deadline }) {
        await engine.call({ what: "removing the build cache", method: "POST", path: "/build/prune" }, pruned, deadline);
      },
    },
  ];
}

function pruning<I>(name: string, targets: (input: I, call: ToolCall) => Promise<Target[]>) {
  return {
    plan: async (input: I, call: ToolCall) => planOf(await targets(input, call)),
    handle: async (input: I, call: ToolCall) => removeAll(name, await targets(input, call), false, call),
  };
}

type Filters = { filters?: v.InferOutput<typeof filters> };
type Wide = Filters & { all: boolean; force_all: boolean };

const common = { level: "destructive", time: "long", output: removal, text: removalText } as const;
const narrow = v.strictObject({ filters: pruneFilters });
const wide = v.strictObject({ filters: pruneFilters, all: v.optional(v.boolean(), false), force_all: forceAll });

export const PRUNING_TOOLS = {
  containers: tool({
    ...common,
    name: "docker_prune_containers",
    category: "containers",
    title: "Remove stopped containers",
    description:
      "Removes all containers that do not run, or those with a label or an age. docker_undo brings them back.",
    input: narrow,
    example: { filters: { until: "24h" } },
    ...pruning("docker_prune_containers", (input: Filters, call) => stopped(filterLists(input.filters), call)),
  }),
  images: tool({
    ...common,
    name: "docker_prune_images",
    category: "images",
    title: "Remove unused images",
    description:
      "Removes images without a name; with all every image that no container uses. docker_undo brings them back.",
    input: wide,
    example: { filters: { until: "240h" } },
    ...pruning("docker_prune_images", ({ filters: asked, all, force_all }: Wide, call) =>
      unusedImages(filterLists(asked), all || force_all, call),
    ),
  }),
  networks: tool({
    ...common,
    name: "docker_prune_networks",
    category: "networks",
    title: "Remove unused networks",
    description: "Removes networks that no container is on, running or not. docker_undo brings them back.",
    input: narrow,
    example: {},
    ...pruning("docker_prune_networks", (input: Filters, call) => unusedNetworks(filterLists(input.filters), call)),
  }),
  volumes: tool({
    ...common,
    name: "docker_prune_volumes",
    category: "volumes",
    title: "Remove unused volumes",
    description:
      "Removes volumes without a name that no container has; with all the named ones, too. docker_undo brings them back with their files.",
    input: wide,
    example: {},
    ...pruning("docker_prune_volumes", ({ filters: asked, all, force_all }: Wide, call) =>
      unusedVolumes(filterLists(asked), all || force_all, call),
    ),
  }),
  system: tool({
    ...common,
    name: "docker_system_prune",
    category: "system",
    title: "Remove everything unused",
    description:
      "Removes stopped containers, unused networks, images without a name and, where no filter is named, the build cache; with volumes also those without a name. docker_undo brings all but the build cache back.",
    input: v.strictObject({
      filters: pruneFilters,
      volumes: v.optional(v.boolean(), false),
      all: v.optional(v.pipe(v.boolean(), v.description("Every image that no container uses")), false),
    }),
    example: { filters: { until: "24h" } },
    ...pruning(
      "docker_system_prune",
      async ({ filters: asked, volumes, all }: Filters & { volumes: boolean; all: boolean }, call) => {
        const lists = filterLists(asked);
        return [
          ...(await stopped(lists, call)),
          ...(await unusedNetworks(lists, call)),
          ...(await unusedImages(lists, all, call)),
          ...(volumes ? await unusedVolumes(lists, false, call) : []),
          // A label or an age means nothing to it: whoever asks for some things does not ask for all of it.
          ...(Object.keys(lists).length === 0 ? await buildCache(call) : []),
        ];
      },
    ),
  }),
} satisfies Record<string, Tool>;
