/** The kinds of steps in a recovery bundle: what `docker_undo` makes again, and from what. */
import * as v from "valibot";
import { savedSchema } from "../../create/saved.ts";
import { source } from "../../create/source.ts";
import { serviceSpec } from "../../docker/services.ts";

const text = v.string();
const words = v.record(text, text);
const json = v.record(text, v.unknown());

export const containerStep = v.object({
  kind: v.literal("container"),
  name: text,
  /** What its image's name stood for: another image of that name by now does not get what this one had. */
  image_id: text,
  /** The create call's body, environment included: bundles are for their owner's eyes. */
  config: json,
  /** By network: the settings of the container's place in it. The first is given to the create call. */
  networks: v.array(v.object({ name: text, endpoint: json })),
  running: v.boolean(),
  paused: v.boolean(),
  /** Archives of what had changed in its files, and the folder where each is to be unpacked. */
  files: v.array(v.object({ file: text, folder: text })),
  /** Paths that had been deleted in it, which come back with the image. */
  deleted: v.array(text),
  /** Another container of the same service of a project took its place, and makes room for it again. */
  replaced: v.optional(v.boolean()),
});

export const networkStep = v.object({ kind: v.literal("network"), name: text, config: json });

export const volumeStep = v.object({
  kind: v.literal("volume"),
  name: text,
  driver: text,
  options: words,
  labels: words,
  /** A backup of its files (src/model/backup.ts); absent where its files are not the engine's. */
  file: v.optional(text),
  /** The volume is still there, with other files: these take their place. */
  replace: v.optional(v.boolean()),
});

export const imageStep = v.object({
  kind: v.literal("image"),
  id: text,
  tags: v.array(text),
  /** `docker save`; absent where the image stays under other names. */
  file: v.optional(text),
});

/** A swarm's service: its tasks come by themselves. */
export const serviceStep = v.object({
  kind: v.literal("service"),
  name: text,
  /** The create call's body, with networks by their names: one that was made again has another id. */
  spec: serviceSpec,
});

/** An MCP server: its manager has kept the definition. */
const serverStep = v.object({ kind: v.literal("server"), name: text });

/** A created server: it is started anew, with the versions of its packages that it had. */
const createdStep = v.object({ kind: v.literal("created-server"), name: text, source });

const savedStep = v.object({ kind: v.literal("saved-server"), name: text, saved: savedSchema });

export const step = v.variant("kind", [
  containerStep,
  networkStep,
  volumeStep,
  imageStep,
  serviceStep,
  serverStep,
  createdStep,
  savedStep,
]);
export type UndoStep = v.InferOutput<typeof step>;
export type ContainerStep = v.InferOutput<typeof containerStep>;
export type NetworkStep = v.InferOutput<typeof networkStep>;
export type VolumeStep = v.InferOutput<typeof volumeStep>;
export type ImageStep = v.InferOutput<typeof imageStep>;
export type ServiceStep = v.InferOutput<typeof serviceStep>;
