/** The engine's volume calls. */
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import { type Filters, orAbsent } from "./containers.ts";
import { compareVersions, type Engine } from "./engine.ts";

const volumeInfo = v.looseObject({
  Name: v.string(),
  Driver: v.string(),
  /** Tells a volume from a later one of the same name. */
  CreatedAt: v.optional(v.string(), ""),
  Labels: v.optional(v.nullable(v.record(v.string(), v.string()))),
});
export type VolumeInfo = v.InferOutput<typeof volumeInfo>;

/** Creates a volume, or gives back the one that has the name; its labels are then those that it had. */
export async function createVolume(
  engine: Engine,
  name: string,
  labels: Record<string, string>,
  deadline: Deadline,
): Promise<VolumeInfo> {
  const request = {
    what: `creating the volume ${name}`,
    method: "POST",
    path: "/volumes/create",
    body: { Name: name, Labels: labels },
  } as const;
  return engine.call(request, volumeInfo, deadline);
}

export async function inspectVolume(engine: Engine, name: string, deadline: Deadline): Promise<VolumeInfo | undefined> {
  return orAbsent(
    engine.call(
      { what: `inspecting the volume ${name}`, method: "GET", path: `/volumes/${encodeURIComponent(name)}` },
      volumeInfo,
      deadline,
    ),
  );
}

export async function listVolumes(engine: Engine, filters: Filters, deadline: Deadline): Promise<VolumeInfo[]> {
  const query = { filters: JSON.stringify(filters) };
  const answer = v.object({ Volumes: v.optional(v.nullable(v.array(volumeInfo))) });
  return (
    (await engine.call({ what: "listing volumes", method: "GET", path: "/volumes", query }, answer, deadline))
      .Volumes ?? []
  );
}

/** Removing what is gone is no error; one in use is a `conflict` fault. */
export async function removeVolume(engine: Engine, name: string, deadline: Deadline): Promise<void> {
  await orAbsent(
    engine.act(
      { what: `removing the volume ${name}`, method: "DELETE", path: `/volumes/${encodeURIComponent(name)}` },
      deadline,
    ),
  );
}

const using = v.array(
  v.object({
    Id: v.string(),
    Names: v.optional(v.nullable(v.array(v.string()))),
    Labels: v.optional(v.nullable(v.record(v.string(), v.string()))),
    State: v.optional(v.string(), ""),
    Mounts: v.optional(
      v.array(
        v.object({ Type: v.optional(v.string()), Name: v.optional(v.string(), ""), RW: v.optional(v.boolean(), true) }),
      ),
      [],
    ),
  }),
);

/** A container that has a volume, whatever its state. */
export interface VolumeUse {
  volume: string;
  id: string;
  /** Its name. */
  container: string;
  labels: Record<string, string>;
  running: boolean;
  readOnly: boolean;
}

/** Who has which volume; of one volume where it is named. */
export async function volumeUses(engine: Engine, name: string | undefined, deadline: Deadline): Promise<VolumeUse[]> {
  // The filter also finds paths of that name inside containers: the mounts tell.
  const query = { all: true, ...(name === undefined ? {} : { filters: JSON.stringify({ volume: [name] }) }) };
  const request = { what: "listing containers", method: "GET", path: "/containers/json", query } as const;
  const found = await engine.call(request, using, deadline);
  return found.flatMap(({ Id, Names, Labels, State, Mounts }) =>
    Mounts.filter((mount) => mount.Type === "volume" && (name === undefined || mount.Name === name)).map((mount) => ({
      volume: mount.Name,
      id: Id,
      container: Names?.[0]?.replace(/^\//, "") ?? Id,
      labels: Labels ?? {},
      running: ["running", "paused", "restarting"].includes(State),
      readOnly: !mount.RW,
    })),
  );
}

const usage = v.object({
  Volumes: v.optional(
    v.nullable(
      v.array(v.object({ Name: v.string(), UsageData: v.optional(v.nullable(v.object({ Size: v.number() }))) })),
    ),
  ),
});

/** Bytes on the disk; undefined where the engine cannot say (other drivers, or somebody else is asking right now). */
export async function volumeBytes(engine: Engine, name: string, deadline: Deadline): Promise<number | undefined> {
  // Older engines measure everything that they have.
  const query = compareVersions(engine.api, "1.42") < 0 ? {} : { type: "volume" };
  const request = { what: "measuring volumes", method: "GET", path: "/system/df", query, patient: true } as const;
  const found = await engine.call(request, usage, deadline).catch(() => undefined);
  const size = found?.Volumes?.find((volume) => volume.Name === name)?.UsageData?.Size ?? -1;
  return size < 0 ? undefined : size;
}
