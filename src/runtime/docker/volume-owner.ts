/**
 * Whose a new volume is. The engine gives it to root, unless the image has a folder at that place; a server that runs as
 * another user could then not write into its own volume.
 */
import type { Deadline } from "../../base/deadline.ts";
import { archiveOf, type Owner } from "../../docker/archive.ts";
import { putArchive, readPath } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { createVolume, inspectVolume } from "../../docker/volumes.ts";
import type { Volume } from "../../model/server-spec.ts";
import { withCarrier } from "./carrier.ts";
import { isBind } from "./mounts.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";

const TARGET = "/linkspan-volume";
/** Of an image's list of users. */
const PASSWD_BYTES_MAX = 256 * 1024;

/** Makes the spec's named volumes; the names of those that are new and to be written. They outlive every server. */
export async function ensureVolumes(engine: Engine, volumes: Volume[], deadline: Deadline): Promise<string[]> {
  const fresh: string[] = [];
  for (const volume of volumes.filter((each) => !isBind(each))) {
    if (await inspectVolume(engine, volume.source, deadline)) continue;
    await createVolume(engine, volume.source, { [LABEL.managedBy]: MANAGED_BY }, deadline);
    if (!volume.readOnly) fresh.push(volume.source);
  }
  return fresh;
}

/** Gives the root of a volume that was just made to the container's user, where it is still root's. */
export async function ownVolume(
  engine: Engine,
  volume: string,
  container: string,
  user: string,
  deadline: Deadline,
): Promise<void> {
  const owner = await ownerOf(engine, container, user, deadline);
  if (!owner || owner.uid === 0) return;
  await withCarrier(engine, { volume, target: TARGET, readOnly: false }, deadline, async (id) => {
    const root = await readPath(engine, id, TARGET, 0, deadline);
    // The image's folder, which the engine has copied, says whose it is.
    if (!root || root.uid !== 0 || root.gid !== 0) return;
    await putArchive(engine, id, "/", archiveOf([{ kind: "folder", name: TARGET.slice(1), ...owner }]), deadline);
  });
}

/** `1000:1000`, `1000`, `node`, `node:staff` → ids, names by the lists of users and groups inside the container. */
async function ownerOf(
  engine: Engine,
  container: string,
  user: string,
  deadline: Deadline,
): Promise<Owner | undefined> {
  const [who = "", group] = user.split(":");
  if (who === "") return undefined;
  const ids = (text: string | undefined) => (text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined);
  let [uid, gid] = [ids(who), ids(group)];
  if (uid === undefined || group === undefined) {
    const entry = await findEntry(
      engine,
      container,
      "/etc/passwd",
      (fields) => fields[0] === who || fields[2] === who,
      deadline,
    );
    uid ??= ids(entry?.[2]);
    gid ??= group === undefined ? (ids(entry?.[3]) ?? 0) : undefined;
  }
  if (gid === undefined) {
    const entry = await findEntry(engine, container, "/etc/group", (fields) => fields[0] === group, deadline);
    gid = ids(entry?.[2]);
  }
  // A user that the image does not know: the engine says so itself, when it starts the container.
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

async function findEntry(
  engine: Engine,
  container: string,
  path: string,
  fits: (fields: string[]) => boolean,
  deadline: Deadline,
): Promise<string[] | undefined> {
  const file = await readPath(engine, container, path, PASSWD_BYTES_MAX, deadline);
  const lines = file?.content.toString().split("\n") ?? [];
  return lines.map((line) => line.split(":")).find(fits);
}
