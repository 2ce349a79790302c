/** A copy of a folder of this machine in a volume of the engine: for engines that do not see this machine's files. */
import type { Deadline } from "../../base/deadline.ts";
import { archiveOf } from "../../docker/archive.ts";
import { putArchive } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { createVolume } from "../../docker/volumes.ts";
import { withCarrier } from "../docker/carrier.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";

const TARGET = "/copy";

/** Creates the volume and fills it. The caller removes it. */
export async function copyToVolume(engine: Engine, folder: string, volume: string, deadline: Deadline): Promise<void> {
  await createVolume(engine, volume, { [LABEL.managedBy]: MANAGED_BY }, deadline);
  await withCarrier(engine, { volume, target: TARGET, readOnly: false }, deadline, (id) =>
    putArchive(engine, id, "/", archiveOf([{ kind: "tree", name: TARGET.slice(1), path: folder }]), deadline),
  );
}
