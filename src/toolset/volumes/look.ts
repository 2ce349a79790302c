/** Tools that look at volumes and make them. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { inspectVolume, listVolumes, volumeUses } from "../../docker/volumes.ts";
import { driverOptions } from "../../docker/volume-rules.ts";
import { filterLists, filters } from "../filters.ts";
import { foreignLabels } from "../labels.ts";
import { inOrder, output, page, paged, paging } from "../output.ts";
import { tool } from "../tool.ts";
import { findVolume, volumeFacts, volumeName, volumeOf } from "./common.ts";

export const listVolumesTool = tool({
  name: "docker_list_volumes",
  category: "volumes",
  title: "List volumes",
  description: "The engine's volumes, and which containers have them.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ filters, ...paging }),
  output: output({ volumes: v.array(v.object({ ...volumeFacts, used_by: v.array(v.string()) })), ...paged }),
  example: { filters: { dangling: "true" } },
  async handle({ filters: asked, ...paging }, call) {
    const engine = await call.engine();
    const found = await listVolumes(engine, filterLists(asked), call.deadline);
    const { items, ...rest } = page(
      inOrder(found, ({ Name }) => Name),
      paging,
    );
    const uses = await volumeUses(engine, undefined, call.deadline);
    const users = (name: string) => uses.filter(({ volume }) => volume === name).map(({ container }) => container);
    return { volumes: items.map((one) => ({ ...volumeOf(one), used_by: users(one.Name) })), ...rest };
  },
  text: ({ volumes, total }) =>
    [
      `${total} volumes`,
      ...volumes.map(({ name, driver, used_by }) => `${name}  ${driver}  ${used_by.join(", ") || "unused"}`),
    ].join("\n"),
});

export const inspectVolumeTool = tool({
  name: "docker_inspect_volume",
  category: "volumes",
  title: "Inspect a volume",
  description: "Everything the engine knows about one volume, and the containers that have it, running or not.",
  level: "safe",
  time: "quick",
  input: v.strictObject({ volume_name: volumeName }),
  output: output({
    ...volumeFacts,
    used_by: v.array(v.object({ container: v.string(), running: v.boolean(), read_only: v.boolean() })),
    volume: v.pipe(v.record(v.string(), v.unknown()), v.description("The engine's own answer")),
  }),
  example: { volume_name: "data" },
  async handle({ volume_name }, call) {
    const volume = await findVolume(volume_name, call);
    const uses = await volumeUses(await call.engine(), volume_name, call.deadline);
    const used_by = uses.map(({ container, running, readOnly: read_only }) => ({ container, running, read_only }));
    return { ...volumeOf(volume), used_by, volume };
  },
  text: ({ name, driver, used_by }) =>
    `${name}: ${driver}, ${used_by.map(({ container }) => container).join(", ") || "unused"}`,
});

const words = v.pipe(
  v.record(v.pipe(v.string(), v.maxLength(255)), v.pipe(v.string(), v.maxLength(64 * 1024))),
  foreignLabels,
);
/** Memory is the one thing besides a folder of its own that a volume may be: every other device is the host's. */
const created = v.object({ Name: v.string() });

export const createVolumeTool = tool({
  name: "docker_create_volume",
  category: "volumes",
  title: "Create a volume",
  description:
    "Makes a volume of the engine's own, on its disk or in memory. One that would be a window onto the host's files is refused.",
  level: "moderate",
  time: "quick",
  input: v.strictObject({
    name: v.optional(volumeName),
    driver: v.optional(v.literal("local"), "local"),
    driver_opts: v.optional(v.union([driverOptions, v.pipe(v.string(), v.parseJson(), driverOptions)]), {}),
    labels: v.optional(v.union([words, v.pipe(v.string(), v.parseJson(), words)]), {}),
  }),
  output: output(volumeFacts),
  example: { name: "data", labels: { app: "web" } },
  async handle({ name, driver: Driver, driver_opts: DriverOpts, labels: Labels }, call) {
    const engine = await call.engine();
    // The engine would answer with the one that is there, as if it had just been made.
    if (name !== undefined && (await inspectVolume(engine, name, call.deadline)))
      throw new Fault("conflict", `there is a volume ${name} already`, {
        hint: "Take another name, or use it as it is.",
      });
    const body = { Driver, DriverOpts, Labels, ...(name === undefined ? {} : { Name: name }) };
    const request = {
      what: `creating the volume ${name ?? ""}`,
      method: "POST",
      path: "/volumes/create",
      body,
    } as const;
    const { Name } = await engine.call(request, created, call.deadline);
    return volumeOf(await findVolume(Name, call));
  },
  text: ({ name }) => `${name} has been made`,
});
