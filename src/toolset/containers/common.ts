/** What the tools about containers share. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { type ContainerInfo, inspectContainer } from "../../docker/containers.ts";
import type { ToolCall } from "../tool.ts";

/** A name or an id; never something that could be taken for an option or a path. */
export const containerId = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/, "expected a container's name or id"),
  v.description("The container's name or id"),
);

/** Faults: `not-found`, naming the tool that lists them. */
export async function findContainer(id: string, call: ToolCall): Promise<ContainerInfo> {
  const found = await inspectContainer(await call.engine(), id, call.deadline);
  if (found) return found;
  throw new Fault("not-found", `there is no container ${id}`, {
    hint: "docker_list_containers with all: true shows those that exist.",
  });
}

/** `/web` → `web` */
export function nameOf({ Name }: Pick<ContainerInfo, "Name">): string {
  return Name.replace(/^\//, "");
}

/** `A=secret` → `A=***`: which variables there are may be seen, what they say may not. */
export function maskEnvironment(variables: readonly string[] | null | undefined): string[] {
  return (variables ?? []).map((variable) => `${variable.split("=", 1)[0] ?? ""}=***`);
}

export const affected = { id: v.string(), name: v.string(), state: v.string() };
