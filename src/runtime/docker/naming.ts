/** Names of containers: each is given once by the engine, which makes it the lock of a server. */
import { type Deadline, sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { ContainerConfig } from "../../docker/container-config.ts";
import { createContainer, inspectContainer } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import type { ServerSpec } from "../../model/server-spec.ts";
import { LABEL } from "../labels.ts";
import { type Labels, type Ownership, sessionSuffix } from "../runtime.ts";

/** Names tried for one container before giving up. */
const NAMES_MAX = 20;
const NAME_RETRY_MS = 20;

/** A name that somebody else has is his: the container gets the next one. */
export async function createNamed(
  engine: Engine,
  spec: ServerSpec,
  owner: Ownership,
  config: ContainerConfig,
  deadline: Deadline,
): Promise<string> {
  const base = `linkspan-${owner.instance}-${spec.name}${sessionSuffix(owner)}`;
  for (let count = 1; count <= NAMES_MAX;) {
    const name = count === 1 ? base : `${base}-${count}`;
    try {
      return await createContainer(engine, name, config, deadline);
    } catch (error) {
      if (!(error instanceof Fault) || error.kind !== "conflict") throw error;
    }
    const holder = await inspectContainer(engine, name, deadline);
    // While the engine makes or removes its owner, a name is taken and nobody's.
    if (!holder || holder.State.Status === "removing") await sleep(NAME_RETRY_MS, deadline.signal);
    // The same manager in another process was faster with the very same server.
    else if (isOf(holder.Config.Labels ?? {}, spec, owner)) return holder.Id;
    else count++;
  }
  throw new Fault("conflict", `the names ${base} to ${base}-${NAMES_MAX} are all taken`);
}

/** What makes two containers the same server. */
export function identity(spec: ServerSpec, owner: Ownership): Labels {
  const { instance, specHash, session } = owner;
  return {
    [LABEL.instance]: instance,
    [LABEL.server]: spec.name,
    [LABEL.spec]: specHash,
    ...(session === undefined ? {} : { [LABEL.session]: session }),
  };
}

function isOf(labels: Labels, spec: ServerSpec, owner: Ownership): boolean {
  return Object.entries(identity(spec, owner)).every(([key, value]) => labels[key] === value);
}
