/** Volumes and binds of a spec → mounts. A bind is checked on its canonical path; dangerous ones are refused. */
import { realpath, stat } from "node:fs/promises";
import { posix } from "node:path";
import { Fault } from "../../base/fault.ts";
import { overlaps, refusal } from "../../docker/bind-rules.ts";
import type { Mount } from "../../docker/container-config.ts";
import type { ServerSpec, Volume } from "../../model/server-spec.ts";
import { BRIDGE_HOME } from "./inject.ts";

export interface BindPolicy {
  /** Further paths to protect: the engine's socket, the data directory. */
  protect: string[];
  /** Whether the engine sees this machine's files. */
  local: boolean;
}

/** Faults: `invalid` (missing or refused source, target where the bridge is), `unsupported` (bind on a remote engine). */
export async function mountsOf(spec: ServerSpec, policy: BindPolicy): Promise<Mount[]> {
  const mounts: Mount[] = [];
  for (const volume of spec.volumes) {
    const target = posix.normalize(volume.target).replace(/(?<=.)\/$/, "");
    if (target === "/" || overlaps(target, BRIDGE_HOME)) {
      throw new Fault("invalid", `nothing can be mounted at ${volume.target}`, {
        hint: "choose another target inside the container",
      });
    }
    mounts.push(
      isBind(volume)
        ? await bindOf(volume, target, policy)
        : { Type: "volume", Source: volume.source, Target: target, ReadOnly: volume.readOnly },
    );
  }
  return mounts;
}

/**
 * `uid:gid` of the first folder of this machine among the mounts; undefined where there is none, or it is root's.
 * A server of an image that we made runs as that user, so that it can read and write what it was given.
 */
export async function ownerOfBinds(mounts: readonly Mount[]): Promise<string | undefined> {
  const bind = mounts.find((mount) => mount.Type === "bind");
  if (!bind?.Source) return undefined;
  const { uid, gid } = await stat(bind.Source);
  return uid === 0 ? undefined : `${uid}:${gid}`;
}

export function isBind(volume: Volume): boolean {
  return volume.source.startsWith("/");
}

async function bindOf(volume: Volume, target: string, policy: BindPolicy): Promise<Mount> {
  if (!policy.local) {
    throw new Fault("unsupported", `the engine runs on another machine and does not see ${volume.source}`, {
      hint: "use a named volume",
    });
  }
  const source = await realpath(volume.source).catch((cause: unknown) => {
    throw new Fault("invalid", `the folder ${volume.source} does not exist or cannot be read`, {
      hint: "a bind needs an existing path on this machine",
      cause,
    });
  });
  const protect = await Promise.all(policy.protect.map((path) => realpath(path).catch(() => path)));
  const reason = refusal(source, volume.readOnly, protect);
  if (reason) {
    const shown = source === volume.source ? source : `${volume.source} (${source})`;
    throw new Fault("invalid", `${shown} is not mounted into a server: ${reason}`, {
      hint: "mount a folder with just the files that the server needs",
    });
  }
  return {
    Type: "bind",
    Source: source,
    Target: target,
    ReadOnly: volume.readOnly,
    BindOptions: { Propagation: "rprivate" },
  };
}
