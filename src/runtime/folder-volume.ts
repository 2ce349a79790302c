/** A copy of a folder of this machine in a volume of the engine: for engines that do not see this machine's files. */
import type { Deadline } from "../base/deadline.ts";
import { archiveOf } from "../docker/archive.ts";
import { createContainer, putArchive, removeContainer } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";
import { createVolume } from "../docker/volumes.ts";
import { BLANK_IMAGE, ensureBlankImage } from "./inject.ts";
import { LABEL, MANAGED_BY } from "./labels.ts";

const TARGET = "/copy";

/** Creates the volume and fills it through a container that is never started. The caller removes it. */
export async function copyToVolume(engine: Engine, folder: string, volume: string, deadline: Deadline): Promise<void> {
  const labels = { [LABEL.managedBy]: MANAGED_BY };
  await ensureBlankImage(engine, deadline);
  await createVolume(engine, volume, labels, deadline);
  const Mounts = [{ Type: "volume" as const, Source: volume, Target: TARGET, ReadOnly: false }];
  const config = {
    Image: BLANK_IMAGE,
    Cmd: ["never-started"],
    Labels: labels,
    HostConfig: { NetworkMode: "none", Mounts },
  };
  const id = await createContainer(engine, undefined, config, deadline);
  try {
    await putArchive(engine, id, "/", archiveOf([{ kind: "tree", name: TARGET.slice(1), path: folder }]), deadline);
  } finally {
    await removeContainer(engine, id, deadline);
  }
}
