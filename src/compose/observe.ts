/** What the engine has of a project, by the labels of `docker compose`. */
import type { Deadline } from "../base/deadline.ts";
import { listContainers } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";
import { inspectImage } from "../docker/images.ts";
import { listNetworks } from "../docker/networks.ts";
import { inspectVolume } from "../docker/volumes.ts";
import type { Observed, Owned, Seen } from "./plan.ts";
import { LABELS, type Project } from "./project.ts";

/** The project's containers, without those of `docker compose run`. By service and number. */
export async function seenContainers(engine: Engine, project: string, deadline: Deadline): Promise<Seen[]> {
  const found = await listContainers(engine, { label: [`${LABELS.project}=${project}`] }, deadline);
  return found
    .filter(({ Labels }) => Labels?.[LABELS.oneoff] !== "True" && Labels?.[LABELS.service] !== undefined)
    .map(({ Id, Names, Labels, State, ImageID }) => ({
      id: Id,
      name: Names?.[0]?.replace(/^\//, "") ?? Id,
      service: Labels?.[LABELS.service] ?? "",
      number: Number(Labels?.[LABELS.number] ?? 1),
      state: State,
      hash: Labels?.[LABELS.hash] ?? "",
      imageId: ImageID,
    }))
    .toSorted((left, right) => compare(left.service, right.service) || left.number - right.number);
}

export async function observe(engine: Engine, project: Project, deadline: Deadline): Promise<Observed> {
  const containers = await seenContainers(engine, project.name, deadline);
  const networks = new Map<string, Owned>();
  const names = new Set([...project.networks.values()].map(({ name }) => name));
  for (const { Name, Labels } of await listNetworks(engine, {}, deadline))
    if (names.has(Name)) networks.set(Name, ownedOf(Labels));
  const volumes = new Map<string, Owned>();
  for (const { name } of project.volumes.values()) {
    const found = await inspectVolume(engine, name, deadline);
    if (found) volumes.set(name, ownedOf(found.Labels));
  }
  const images = new Map<string, string>();
  for (const image of new Set([...project.services.values()].map((service) => service.image))) {
    const found = await inspectImage(engine, image, deadline);
    if (found) images.set(image, found.Id);
  }
  return { containers, networks, volumes, images };
}

function ownedOf(labels: Record<string, string> | null | undefined): Owned {
  return { project: labels?.[LABELS.project], hash: labels?.[LABELS.hash] };
}

function compare(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
