/** Containers that are created and never started: they make a volume's files reachable through the engine's archive calls. */
import { randomBytes } from "node:crypto";
import { Deadline } from "../../base/deadline.ts";
import { archiveOf } from "../../docker/archive.ts";
import { createContainer, listContainers, removeContainer } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { importImage, labelInstruction, listImages } from "../../docker/images.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import { isHere, makerRuns, ownerLabel, parseOwner } from "../owner.ts";

/** An image without a single program. */
const BLANK_IMAGE = "linkspan/blank:1";
/** Cleaning up has its own time: the work's deadline may be what has failed. */
const CLEANUP_MS = 10_000;
/** No work takes longer, not even the backup of a large volume: where nothing else tells, an older carrier has lost its manager. */
const ABANDONED_S = 24 * 3_600;

export interface Carried {
  volume: string;
  /** Where the volume is mounted in the carrier. */
  target: string;
  readOnly: boolean;
  /** A name that the engine gives only once is a lock; random where absent. */
  name?: string;
}

/** Runs the work with a carrier of the volume, which is removed in any case. Fault `conflict` where the name is taken. */
export async function withCarrier<T>(
  engine: Engine,
  carried: Carried,
  deadline: Deadline,
  work: (id: string) => Promise<T>,
): Promise<T> {
  await using carrier = await openCarrier(engine, carried, deadline);
  return await work(carrier.id);
}

/** A carrier that is removed when it is disposed of. */
export async function openCarrier(
  engine: Engine,
  { volume, target, readOnly, name = `linkspan-carrier-${randomBytes(6).toString("hex")}` }: Carried,
  deadline: Deadline,
): Promise<{ id: string } & AsyncDisposable> {
  const config = {
    Image: await ensureBlankImage(engine, deadline),
    Cmd: ["never-started"],
    Labels: { [LABEL.managedBy]: MANAGED_BY, [LABEL.carrier]: name, [LABEL.owner]: ownerLabel() },
    HostConfig: {
      NetworkMode: "none",
      Mounts: [{ Type: "volume" as const, Source: volume, Target: target, ReadOnly: readOnly }],
    },
  };
  const id = await createContainer(engine, name, config, deadline);
  return { id, [Symbol.asyncDispose]: () => discardContainer(engine, id) };
}

/**
 * A manager that was killed in the middle leaves its carrier behind. Whether it is gone can be seen on its own machine; for
 * carriers of others ages are compared, on the engine's own clock.
 */
export async function removeAbandoned(engine: Engine, deadline: Deadline): Promise<void> {
  const carriers = await listContainers(engine, { label: [LABEL.carrier] }, deadline);
  const newest = Math.max(...carriers.map(({ Created }) => Created));
  const abandoned = carriers.filter(({ Created, Labels }) => {
    const owner = parseOwner(Labels?.[LABEL.owner]);
    return owner && isHere(owner) ? !makerRuns(owner) : Created < newest - ABANDONED_S;
  });
  await Promise.all(abandoned.map(({ Id }) => discardContainer(engine, Id)));
}

/** Removes what must not stay behind, whatever has become of the deadline. What the engine cannot remove now, it keeps. */
export async function discardContainer(engine: Engine, id: string): Promise<void> {
  await removeContainer(engine, id, Deadline.in(CLEANUP_MS)).catch(() => {});
}

/** The image's id. */
export async function ensureBlankImage(engine: Engine, deadline: Deadline): Promise<string> {
  const [found] = await listImages(engine, [`${LABEL.blank}=1`], deadline);
  if (found) return found.Id;
  const archive = archiveOf([{ kind: "folder", name: ".linkspan" }]);
  const labels = [labelInstruction(LABEL.managedBy, MANAGED_BY), labelInstruction(LABEL.blank, "1")];
  return importImage(engine, archive, BLANK_IMAGE, labels, deadline);
}
