/**
 * Containers in which packages are installed and images are put together. Images take over the labels of the container
 * that they are made of, and servers those of their image: so it is by its name that such a container is known.
 */
import { randomBytes } from "node:crypto";
import type { Deadline } from "../../base/deadline.ts";
import { listContainers } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import { isHere, makerRuns, ownerLabel, parseOwner } from "../owner.ts";
import { discardContainer } from "./carrier.ts";

const NAME = "linkspan-build-";
/** Where nothing else tells: of somebody else's machine, and so much older than the newest one. */
const ABANDONED_S = 3_600;

export function buildName(): string {
  return `${NAME}${randomBytes(6).toString("hex")}`;
}

export function buildLabels(): Record<string, string> {
  return { [LABEL.managedBy]: MANAGED_BY, [LABEL.build]: ownerLabel() };
}

/** Of managers that were killed. What is called so and was not made here, such as a server of such an image, is nobody's business. */
export async function removeAbandonedBuilds(engine: Engine, deadline: Deadline): Promise<void> {
  const found = await listContainers(engine, { label: [LABEL.build], name: [NAME] }, deadline);
  const newest = Math.max(...found.map(({ Created }) => Created));
  const abandoned = found.filter(({ Names, Created, Labels }) => {
    const owner = parseOwner(Labels?.[LABEL.build]);
    if (!owner || !Names?.some((name) => name.startsWith(`/${NAME}`))) return false;
    return isHere(owner) ? !makerRuns(owner) : Created < newest - ABANDONED_S;
  });
  await Promise.all(abandoned.map(({ Id }) => discardContainer(engine, Id)));
}
