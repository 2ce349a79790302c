/** One thing that a destructive tool removes: what it is, what is kept of it, how it goes. */
import { Fault } from "../../base/fault.ts";
import { at, type ContainerInfo } from "../../docker/containers.ts";
import { encodeRef, type ImageInfo } from "../../docker/images.ts";
import { type NetworkInfo, removeNetwork } from "../../docker/networks.ts";
import { listTasks, removeService, type ServiceInfo } from "../../docker/services.ts";
import { inspectVolume, removeVolume, volumeBytes, type VolumeInfo, volumeUses } from "../../docker/volumes.ts";
import { nameOf } from "../containers/common.ts";
import type { Planned, ToolCall } from "../tool.ts";
import type { Keeper } from "../undo/keep.ts";
import type { UndoStep } from "../undo/steps.ts";

export interface Target {
  planned: Planned;
  keep(keeper: Keeper): Promise<UndoStep[]>;
  remove(call: ToolCall): Promise<void>;
}

export const UNNAMED_VOLUME = /^[0-9a-f]{64}$/;

interface ContainerRemoval {
  /** Also while it runs. */
  force: boolean;
  /** With the volumes that were made for it without a name. */
  volumes: boolean;
}

export async function containerTarget(
  info: ContainerInfo,
  { force, volumes }: ContainerRemoval,
  call: ToolCall,
): Promise<Target> {
  const engine = await call.engine();
  if (!force && ["running", "paused", "restarting"].includes(info.State.Status)) {
    throw new Fault("conflict", `${nameOf(info)} is ${info.State.Status}`, {
      hint: "Stop it first with docker_stop_container, or use force.",
    });
  }
  const names = volumes ? volumesOf(info).filter((name) => UNNAMED_VOLUME.test(name)) : [];
  const found = await Promise.all(names.map((name) => inspectVolume(engine, name, call.deadline)));
  const unnamed = found.filter((one) => one !== undefined);
  const name = nameOf(info);
  const bytes = typeof info["SizeRw"] === "number" ? info["SizeRw"] : undefined;
  const more = unnamed.length > 0 ? `, with ${unnamed.length} volumes without a name` : "";
  return {
    planned: {
      kind: "container",
      id: info.Id,
      name,
      detail: `${info.State.Status}, image ${info.Config.Image}${more}`,
      ...(bytes === undefined ? {} : { bytes }),
    },
    keep: async (keeper) => [...(await inTurn(unnamed, (one) => keeper.volume(one))), await keeper.container(info)],
    async remove({ deadline }) {
      const query = { force, v: volumes };
      await engine.act(
        { what: `removing the container ${name}`, method: "DELETE", path: at(info.Id), query },
        deadline,
      );
    },
  };
}

function volumesOf(info: ContainerInfo): string[] {
  const mounts: unknown[] = Array.isArray(info["Mounts"]) ? info["Mounts"] : [];
  return mounts.flatMap((mount) =>
    typeof mount === "object" && mount !== null && "Name" in mount && typeof mount.Name === "string"
      ? [mount.Name]
      : [],
  );
}

async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  for (const item of items) done.push(await work(item));
  return done;
}

interface ImageRemoval {
  /** The name that goes; the image itself where it is its last one or an id. */
  ref: string;
  force: boolean;
  noprune: boolean;
  /** An id that has several names is removed name by name, which is done with force in any case. */
  everyName?: boolean;
}

export async function imageTarget(
  info: ImageInfo,
  { ref, force, noprune, everyName = force }: ImageRemoval,
  call: ToolCall,
): Promise<Target> {
  const tags = info.RepoTags ?? [];
  const asName = tags.find((tag) => tag === ref || tag === `${ref}:latest`);
  const others = asName === undefined ? [] : tags.filter((tag) => tag !== asName);
  const whole = others.length === 0;
  const size = typeof info["Size"] === "number" ? info["Size"] : 0;
  const engine = await call.engine();
  const gone = asName === undefined || whole ? info : { ...info, RepoTags: [asName] };
  return {
    planned: {
      kind: "image",
      id: info.Id,
      name: asName ?? tags[0] ?? info.Id,
      detail: whole
        ? `the image with all its layers that no other has`
        : `only the name; it stays as ${others.join(", ")}`,
      ...(whole ? { bytes: size } : {}),
    },
    keep: async (keeper) => [await keeper.image(gone, whole)],
    async remove({ deadline }) {
      // By id where all its names go, for the engine refuses an id with several names without force.
      const several = asName === undefined && tags.length > 1 && everyName;
      for (const name of several ? tags : [asName ?? info.Id]) {
        const query = { force, noprune };
        await engine.act(
          { what: `removing the image ${name}`, method: "DELETE", path: `/images/${encodeRef(name)}`, query },
          deadline,
        );
      }
    },
  };
}

export function networkTarget(info: NetworkInfo): Target {
  if (["bridge", "host", "none"].includes(info.Name))
    throw new Fault("forbidden", `the network ${info.Name} is the engine's own`, {
      hint: "Only networks that somebody has made can be removed.",
    });
  return {
    planned: { kind: "network", id: info.Id, name: info.Name, detail: info.Driver },
    keep: (keeper) => Promise.resolve([keeper.network(info)]),
    remove: async (call) => removeNetwork(await call.engine(), info.Id, call.deadline),
  };
}

export async function volumeTarget(info: VolumeInfo, call: ToolCall): Promise<Target> {
  const [user] = await volumeUses(await call.engine(), info.Name, call.deadline);
  if (user) {
    throw new Fault("conflict", `the container ${user.container} has the volume ${info.Name}`, {
      hint: "Remove that container first.",
    });
  }
  const bytes = await volumeBytes(await call.engine(), info.Name, call.deadline);
  return {
    planned: {
      kind: "volume",
      id: info.Name,
      name: info.Name,
      detail: `${info.Driver}, with all its files`,
      ...(bytes === undefined ? {} : { bytes }),
    },
    keep: async (keeper) => [await keeper.volume(info)],
    remove: async ({ engine, deadline }) => removeVolume(await engine(), info.Name, deadline),
  };
}

export async function serviceTarget(info: ServiceInfo, call: ToolCall): Promise<Target> {
  const filters = { service: [info.ID], "desired-state": ["running"] };
  const tasks = await listTasks(await call.engine(), filters, call.deadline);
  const running = tasks.filter(({ Status }) => Status.State === "running").length;
  const image = info.Spec.TaskTemplate.ContainerSpec?.Image ?? "no image";
  return {
    planned: {
      kind: "service",
      id: info.ID,
      name: info.Spec.Name,
      detail: `${running} running tasks, image ${image}; what they wrote into their containers goes with them`,
    },
    keep: async (keeper) => [await keeper.service(info)],
    remove: async ({ engine, deadline }) => removeService(await engine(), info.ID, deadline),
  };
}
