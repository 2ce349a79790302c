/** What the tools about volumes share. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { inspectVolume, type VolumeInfo } from "../../docker/volumes.ts";
import type { ToolCall } from "../tool.ts";

export const volumeName = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/, "expected letters, digits, _ . and -, a letter or digit first"),
  v.description("The volume's name"),
);

/** Faults: `not-found`. */
export async function findVolume(name: string, call: ToolCall): Promise<VolumeInfo> {
  const found = await inspectVolume(await call.engine(), name, call.deadline);
  if (found) return found;
  throw new Fault("not-found", `there is no volume ${name}`, { hint: "docker_list_volumes shows those that exist." });
}

export const volumeFacts = {
  name: v.string(),
  driver: v.string(),
  created: v.string(),
  labels: v.record(v.string(), v.string()),
};

export function volumeOf({ Name: name, Driver: driver, CreatedAt: created, Labels }: VolumeInfo) {
  return { name, driver, created, labels: Labels ?? {} };
}
