/**
 * What a change of a service would keep is judged like what it brings: with another image or command, whatever somebody else has
 * given to the service would be in new hands.
 */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import type { ServiceSpec } from "../../docker/services.ts";
import { inspectVolume } from "../../docker/volumes.ts";
import { refuseBorrowed } from "../labels.ts";
import { allowedPath, judgeVolume } from "../mounts.ts";
import { findNetwork } from "../networks/common.ts";
import type { ToolCall } from "../tool.ts";

/** Of a task's container; each of the others is refused where it asks for anything. */
const HARMLESS = new Set(
  (
    "Image Labels Command Args Hostname Env Dir User StopSignal TTY OpenStdin ReadOnly Mounts StopGracePeriod Healthcheck Hosts " +
    "DNSConfig Secrets Configs Init CapabilityDrop Isolation"
  ).split(" "),
);
/** The same, where privileged containers are allowed. */
const PRIVILEGED = new Set(["CapabilityAdd", "Privileges", "Sysctls", "Ulimits", "Groups", "OomScoreAdj"]);
const TASK = new Set(
  "ContainerSpec Resources RestartPolicy Placement Networks ForceUpdate LogDriver Runtime".split(" "),
);

const mount = v.looseObject({
  Type: v.optional(v.string(), ""),
  Source: v.optional(v.string(), ""),
  Target: v.optional(v.string(), ""),
  ReadOnly: v.optional(v.boolean(), false),
  VolumeOptions: v.optional(v.nullable(v.looseObject({ DriverConfig: v.optional(v.unknown()) }))),
  BindOptions: v.optional(v.nullable(v.looseObject({ Propagation: v.optional(v.string(), "") }))),
});
type Mount = v.InferOutput<typeof mount>;

/** Faults: `forbidden`, `unsupported` (a path, and the engine is elsewhere), `invalid` (a path that is not there). */
export async function judgeKept({ Name, TaskTemplate }: ServiceSpec, node: string, call: ToolCall): Promise<void> {
  const { ContainerSpec = { Image: "", Mounts: [] }, Networks, Placement } = TaskTemplate;
  const forbidden = (what: string): Fault =>
    new Fault("forbidden", `${Name} has ${what}, which a tool does not give to a service and does not hand on`, {
      hint: "Whoever has made it can change it with docker service update; docker_scale_service still works.",
    });
  const odd = Object.keys(TaskTemplate).find((name) => !TASK.has(name) && asksFor(TaskTemplate[name]));
  if (odd !== undefined) throw forbidden(odd);
  const runtime = TaskTemplate["Runtime"];
  if (asksFor(runtime) && runtime !== "container") throw forbidden(`the runtime ${String(runtime)}`);
  for (const [name, value] of Object.entries(ContainerSpec)) {
    if (HARMLESS.has(name) || !asksFor(value)) continue;
    if (!PRIVILEGED.has(name) || !call.settings.allowPrivileged) throw forbidden(name);
  }
  await refuseBorrowed(ContainerSpec.Image.replace(/@sha256:[0-9a-f]{64}$/, ""), call);
  for (const { Target } of Networks ?? []) {
    const { Driver } = await findNetwork(Target, call);
    if (Driver === "host" || Driver === "null") throw forbidden("the host's own network");
  }
  const here = (Placement?.Constraints ?? []).some((one) => one.replaceAll(" ", "") === `node.id==${node}`);
  for (const one of v.parse(v.array(mount), ContainerSpec.Mounts ?? [])) await judgeMount(one, here, forbidden, call);
}

async function judgeMount(one: Mount, here: boolean, forbidden: (what: string) => Fault, call: ToolCall) {
  const { Type, Source, Target, ReadOnly, VolumeOptions, BindOptions } = one;
  if (`${Source}${Target}`.includes("{{")) throw forbidden("a path that the swarm fills in");
  if (Type === "tmpfs") return;
  const engine = await call.engine();
  if (Type === "volume") {
    if (asksFor(VolumeOptions?.DriverConfig)) throw forbidden(`the volume ${Source} with a driver of its own`);
    if (Source !== "") await judgeVolume(await inspectVolume(engine, Source, call.deadline), ReadOnly, call);
    return;
  }
  if (Type !== "bind") throw forbidden(`a mount of the type ${Type}`);
  if (!/^(r?private)?$/.test(BindOptions?.Propagation ?? "")) throw forbidden(`a mount of ${Source} that propagates`);
  if (!here) throw forbidden(`the path ${Source} on whichever node it runs`);
  if ((await allowedPath(Source, ReadOnly, engine.endpoint, call.settings)) !== Source)
    throw forbidden(`the path ${Source}, which is a link`);
}

/** `{}`, `[]`, `null`, `false`, `""` and 0 do not, nor does what is made of them. */
function asksFor(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return Boolean(value);
  return Object.values(value).some(asksFor);
}
