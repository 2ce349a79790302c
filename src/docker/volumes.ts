/** The engine's volume calls. */
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import { type Filters, orAbsent } from "./containers.ts";
import type { Engine } from "./engine.ts";

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
