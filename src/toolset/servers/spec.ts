/** What a server that a tool defines may have: an allowlist of the spec's fields, judged like a container's. */
import * as v from "valibot";
import type { ServersDoor } from "../../api/client/door.ts";
import { Fault } from "../../base/fault.ts";
import { findEndpoint } from "../../docker/endpoint.ts";
import { isCodeRef } from "../../model/code.ts";
import { issueFault } from "../../model/issues.ts";
import { imageRef, name, type ServerBodyInput, serverBody, type Volume } from "../../model/server-spec.ts";
import { byteSize } from "../../model/units.ts";
import { requireContained } from "../../safety/definition.ts";
import { argvAs, environment, userName, workdir } from "../containers/arguments.ts";
import { allowedPath, mountsOf, requireVolumeName, volumes } from "../mounts.ts";
import type { ToolCall } from "../tool.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** What is made of source text; its tools are others. */
const SOURCE = /^code:/i;

const reference = v.pipe(
  imageRef,
  v.check(
    (text) => !SOURCE.test(text) || isCodeRef(text),
    "expected an image, npm:PACKAGE[@VERSION] or pypi:PACKAGE[@VERSION]",
  ),
  v.description("npm:PACKAGE[@VERSION], pypi:PACKAGE[@VERSION], or an image such as ghcr.io/me/server:1"),
);

export const serverSpec = {
  image: reference,
  name: v.optional(v.pipe(name, v.description("The last word of the image where absent"))),
  command: v.optional(argvAs("Instead of the image's entrypoint; a list of words, no shell")),
  args: v.optional(argvAs("What the server gets as arguments")),
  environment: v.optional(environment, {}),
  secrets: v.optional(
    v.pipe(
      v.record(v.string(), v.string()),
      v.description("Like environment, but never seen by the engine or shown again"),
    ),
    {},
  ),
  volumes: v.optional(volumes, []),
  network: v.optional(v.pipe(name, v.description("none, egress (outbound only), or a network's name")), "none"),
  user: v.optional(userName),
  workdir: v.optional(workdir),
  memory: v.optional(byteSize(6 * MIB, 1024 * GIB, "Such as 512m, which it has where absent")),
  cpus: v.optional(v.pipe(v.number(), v.minValue(0.01), v.maxValue(1024))),
  pids: v.optional(v.pipe(v.number(), v.integer(), v.minValue(8), v.maxValue(1_000_000))),
  read_only: v.optional(v.pipe(v.boolean(), v.description("Read-only root file system")), true),
  session: v.optional(
    v.pipe(
      v.picklist(["process", "shared", "container"]),
      v.description("What each session has for itself; shared: all speak to one process"),
    ),
    "process",
  ),
};
const schema = v.strictObject(serverSpec);
type Wanted = v.InferOutput<typeof schema>;

/** Faults: `forbidden` for what the policy does not allow, `invalid`. */
export async function bodyOf(wanted: Wanted, door: ServersDoor, call: ToolCall): Promise<ServerBodyInput> {
  refuseProgram(wanted.image, call);
  if (wanted.network === "host")
    throw new Fault("forbidden", "the host's own network is not given to a server", {
      hint: "Take egress for a server that has to reach something outside.",
    });
  const { memory, cpus, pids } = wanted;
  const limits = Object.fromEntries(Object.entries({ memory, cpus, pids }).filter(([, value]) => value !== undefined));
  const body = {
    image: wanted.image,
    ...(wanted.command ? { command: wanted.command } : {}),
    ...(wanted.args ? { args: wanted.args } : {}),
    env: wanted.environment,
    secrets: wanted.secrets,
    volumes: await volumesOf(wanted.volumes, door, call),
    network: wanted.network,
    ...(wanted.user === undefined ? {} : { user: wanted.user }),
    ...(wanted.workdir === undefined ? {} : { workdir: wanted.workdir }),
    limits,
    readOnly: wanted.read_only,
    session: wanted.session,
  };
  const parsed = v.safeParse(serverBody, body);
  if (!parsed.success) throw issueFault(serverBody, parsed.issues, "the server");
  return body;
}

function refuseProgram(image: string, { settings }: ToolCall): void {
  if (SOURCE.test(image))
    throw new Fault("forbidden", "created servers are started by the tools that make them", {
      hint: "Take load-saved-server.",
    });
  requireContained(image, settings);
}

/** Paths in their canonical form, so that what was judged is what is mounted. */
async function volumesOf(wanted: Wanted["volumes"], door: ServersDoor, call: ToolCall): Promise<Volume[]> {
  if (wanted.length === 0) return [];
  if (!door.local)
    throw new Fault(
      "unsupported",
      "the manager is on another machine, and what lies there cannot be judged from here",
      {
        hint: "Leave the volumes out, or define the server in that machine's linkspan.yaml.",
      },
    );
  const { manager } = await door.status({ deadline: call.deadline });
  if (manager.runtime === "docker") {
    const mounts = await mountsOf(wanted, call);
    return mounts.map(({ Source = "", Target, ReadOnly }) => ({
      source: Source,
      target: Target,
      readOnly: ReadOnly !== false,
    }));
  }
  // Without an engine volumes are folders of the data directory, and binds what they are with one.
  const endpoint = findEndpoint(call.env);
  return await Promise.all(
    wanted.map(async ({ source, target, readOnly }) => {
      if (source.startsWith("/"))
        return { source: await allowedPath(source, readOnly, endpoint, call.settings), target, readOnly };
      requireVolumeName(source);
      return { source, target, readOnly };
    }),
  );
}
