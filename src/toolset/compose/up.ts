/** Tools that make a project what its file says. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { output } from "../output.ts";
import { tool } from "../tool.ts";
import { hiding, hasOneSource, ONE_SOURCE, projectOf, serviceName, services, sourceFields } from "./common.ts";
import { bringUp, buildService, done, doneText } from "./hands.ts";

const FILE = "shop/compose.yaml";

export const composeUpTool = tool({
  name: "docker_compose_up",
  category: "compose",
  title: "Bring a project up",
  description:
    "Makes the networks, volumes, images and containers of a compose file and starts them; what is there already and fits is left alone, what has changed is replaced. Take dry_run to see the steps first. It never touches other projects.",
  level: "moderate",
  time: "long",
  idempotent: true,
  openWorld: true,
  input: v.pipe(
    v.strictObject({
      ...sourceFields,
      services,
      build: v.optional(v.pipe(v.boolean(), v.description("Build images that are there already, too")), false),
      force_recreate: v.optional(v.boolean(), false),
      no_recreate: v.optional(v.boolean(), false),
      no_deps: v.optional(v.pipe(v.boolean(), v.description("Without what the services depend on")), false),
      no_start: v.optional(v.boolean(), false),
      remove_orphans: v.optional(
        v.pipe(v.boolean(), v.description("Remove containers of services that the file has no more")),
        false,
      ),
      dry_run: v.optional(v.pipe(v.boolean(), v.description("Only tell the steps")), false),
      detach: v.optional(v.pipe(v.boolean(), v.description("Always so: no call waits for the end of a project"))),
    }),
    v.check((asked) => hasOneSource(asked), ONE_SOURCE),
  ),
  output: done,
  example: { file: FILE, dry_run: true },
  async handle({ services: named, dry_run, ...input }, call) {
    const project = await projectOf(input, call, named);
    const options = {
      services: named,
      noDependencies: input.no_deps,
      forceRecreate: input.force_recreate,
      noRecreate: input.no_recreate,
      build: input.build,
      removeOrphans: input.remove_orphans,
      noStart: input.no_start,
    };
    return hiding(project, bringUp("docker_compose_up", project, options, dry_run, call));
  },
  text: doneText,
});

export const composeScaleTool = tool({
  name: "docker_compose_scale",
  category: "compose",
  title: "Scale services",
  description:
    "Makes or removes containers of services until there are as many as asked for. Those that are removed are the newest, and are kept for docker_undo.",
  level: "moderate",
  time: "long",
  idempotent: true,
  input: v.pipe(
    v.strictObject({
      ...sourceFields,
      scale: v.pipe(
        v.record(serviceName, v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(100))),
        v.description('{"worker": 3}'),
      ),
    }),
    v.check((asked) => hasOneSource(asked), ONE_SOURCE),
  ),
  output: done,
  example: { file: FILE, scale: { worker: 3 } },
  async handle({ scale, ...input }, call) {
    const names = Object.keys(scale);
    const project = await projectOf(input, call, names);
    const fixed = names.find((name) => project.services.get(name)?.container_name !== undefined);
    if (fixed !== undefined && (scale[fixed] ?? 0) > 1)
      throw new Fault("invalid", `the service ${fixed} has a container_name: there can be only one`, {
        hint: "Take container_name out of the file.",
      });
    const options = { services: names, scale, noRecreate: true, noDependencies: true };
    return hiding(project, bringUp("docker_compose_scale", project, options, false, call));
  },
  text: doneText,
});

export const composeBuildTool = tool({
  name: "docker_compose_build",
  category: "compose",
  title: "Build a project's images",
  description:
    "Builds the images of the services that have a build, without touching containers; docker_compose_up takes them afterwards.",
  level: "moderate",
  time: "long",
  openWorld: true,
  input: v.pipe(
    v.strictObject({
      ...sourceFields,
      services,
      no_cache: v.optional(v.boolean(), false),
      pull: v.optional(v.pipe(v.boolean(), v.description("Look for newer base images")), false),
    }),
    v.check((asked) => hasOneSource(asked), ONE_SOURCE),
  ),
  output: output({ project: v.string(), images: v.array(v.string()), log: v.array(v.string()) }),
  example: { file: FILE },
  async handle({ services: named, no_cache: nocache, pull, ...input }, call) {
    const project = await projectOf(input, call, named);
    const chosen = [...project.services.values()].filter(
      ({ name, build }) => build && (named.length === 0 || named.includes(name)),
    );
    const log: string[] = [];
    for (const service of chosen)
      log.push(...(await hiding(project, buildService(project, service, { nocache, pull }, call))));
    return { project: project.name, images: chosen.map(({ image }) => image), log };
  },
  text: ({ images, log }) =>
    images.length === 0 ? "No service has a build." : [...log.slice(-20), `Built ${images.join(", ")}.`].join("\n"),
});
