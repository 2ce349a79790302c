/** How steps of a plan are done within the toolset's rules: mounts judged, contexts read where that is allowed. */
import { posix } from "node:path";
import * as v from "valibot";
import { applySteps, type Hands } from "../../compose/apply.ts";
import { observe } from "../../compose/observe.ts";
import { describeStep, type Observed, planImages, planUp, type Step, type UpOptions } from "../../compose/plan.ts";
import { hide, type Project, type Service } from "../../compose/project.ts";
import { Fault } from "../../base/fault.ts";
import type { Entry } from "../../docker/archive.ts";
import type { Mount } from "../../docker/container-config.ts";
import { inspectContainer } from "../../docker/containers.ts";
import { registryAuth } from "../../docker/credentials.ts";
import { pullImage } from "../../docker/images.ts";
import { inspectVolume } from "../../docker/volumes.ts";
import { buildFrom } from "../images/build.ts";
import { contextOf } from "../images/context.ts";
import { refuseHostNetwork } from "../containers/spec.ts";
import { refuseBorrowed } from "../labels.ts";
import { allowedPath, judgeVolume } from "../mounts.ts";
import { output } from "../output.ts";
import type { ToolCall } from "../tool.ts";
import { protect } from "../undo/keep.ts";
import { readableFile, readableFolder } from "./files.ts";

export const done = output({
  project: v.string(),
  steps: v.pipe(v.array(v.string()), v.description("What was done, in this order; with dry_run, what would be")),
  dry_run: v.boolean(),
  remarks: v.array(v.string()),
  undo: v.optional(v.pipe(v.string(), v.description("Bundle with the containers that were replaced or removed"))),
});
export type Done = v.InferOutput<typeof done>;

export function doneText({ project, steps, dry_run, remarks, undo }: Done): string {
  return [
    steps.length === 0
      ? `${project} is as the file says; nothing ${dry_run ? "is" : "was"} to be done.`
      : `${project}: ${dry_run ? "nothing was done yet; this would be" : "done"}:`,
    ...steps.map((step, index) => `${index + 1}. ${step}`),
    ...remarks,
    ...(undo === undefined ? [] : [`What was replaced or removed is kept in the bundle ${undo}.`]),
  ].join("\n");
}

/** Images, then everything else; with `dryRun` only the plan. */
export async function bringUp(
  tool: string,
  project: Project,
  options: UpOptions,
  dryRun: boolean,
  call: ToolCall,
): Promise<v.InferInput<typeof done>> {
  const engine = await call.engine();
  const hands = await handsOf(project, call);
  // Everything is judged before anything is done; and once more at the moment of creating.
  for (const service of project.services.values()) await hands.mounts(service);
  let observed: Observed = await observe(engine, project, call.deadline);
  const first = planUp(project, observed, options);
  if (first.conflicts.length > 0)
    throw new Fault("conflict", first.conflicts.join("; "), { hint: "Change the names in the file, or remove those." });
  const images = planImages(project, observed, options);
  if (dryRun) return { ...told(project, [...images, ...first.steps], first.remarks), dry_run: true };
  await applySteps(project, images, hands, { start: false });
  if (images.length > 0) observed = await observe(engine, project, call.deadline);
  const { steps, remarks } = planUp(project, observed, options);
  const undo = await keepReplaced(tool, project, steps, call);
  await applySteps(project, steps, hands, { start: !options.noStart });
  return { ...told(project, [...images, ...steps], remarks), ...(undo === undefined ? {} : { undo }) };
}

function told(project: Project, steps: readonly Step[], remarks: readonly string[]) {
  const shown = (text: string) => hide(text, project.hidden);
  return {
    project: project.name,
    steps: steps.map((step) => shown(describeStep(step))),
    dry_run: false,
    remarks: [...project.remarks, ...remarks].map(shown),
  };
}

/** Containers that go are kept first, for theirs are files that nobody has written down. */
async function keepReplaced(tool: string, project: Project, steps: readonly Step[], call: ToolCall) {
  const going = steps.flatMap((step) => (step.do === "recreate" || step.do === "remove" ? [step] : []));
  if (going.length === 0) return undefined;
  const engine = await call.engine();
  const summary = `Replace or remove ${going.length} containers of ${project.name}.`;
  return protect(tool, summary, call, async (keeper) => {
    const kept = [];
    for (const { do: what, id } of going) {
      const info = await inspectContainer(engine, id, call.deadline);
      if (info) kept.push({ ...(await keeper.container(info)), ...(what === "recreate" ? { replaced: true } : {}) });
    }
    return kept;
  });
}

export async function handsOf(project: Project, call: ToolCall): Promise<Hands> {
  const engine = await call.engine();
  const quiet = hidingSteps(project, call);
  return {
    engine,
    deadline: call.deadline,
    mounts: (service) => mountsOfService(project, service, call),
    report: (text, current, total) => quiet.report({ text, current, total }),
    async image({ do: what, image }, service) {
      if (what === "build") await buildService(project, service, {}, call);
      else
        await pullImage(
          engine,
          image,
          await registryAuth(image, call.env, call.deadline),
          quiet.report,
          call.deadline,
          undefined,
          service.platform,
        );
    },
  };
}

/** What a build or a registry says may repeat a variable's value. */
function hidingSteps(project: Project, call: ToolCall): ToolCall {
  return { ...call, report: (step) => call.report({ ...step, text: hide(step.text, project.hidden) }) };
}

/** The lines of a service's build. */
export async function buildService(
  project: Project,
  { build, image, name, platform }: Service,
  options: { nocache?: boolean; pull?: boolean },
  call: ToolCall,
): Promise<string[]> {
  if (!build) throw new Fault("invalid", `the service ${name} has no build`, { hint: "Name one that has." });
  const { context, dockerfile = "Dockerfile", dockerfile_inline: inline, args, target, labels, tags = [] } = build;
  if (dockerfile.startsWith("/") || dockerfile.split("/").includes(".."))
    throw new Fault("forbidden", "the Dockerfile lies outside its build's context", { hint: "Put it inside." });
  const own = ".linkspan.Dockerfile";
  const entries: Entry[] =
    context === undefined ? [] : await contextOf(await readableFolder(context, call.settings), dockerfile);
  if (inline !== undefined) entries.push({ kind: "bytes", name: own, bytes: Buffer.from(inline) });
  const buildargs = Object.fromEntries(Object.entries(args).filter(([, value]) => value !== null));
  const file = inline === undefined ? dockerfile : own;
  const query = {
    dockerfile: file,
    t: [image, ...tags],
    target,
    platform,
    buildargs: JSON.stringify(buildargs),
    labels: labels && JSON.stringify(labels),
    nocache: options.nocache || build.no_cache,
    pull: options.pull || build.pull,
    rm: true,
    forcerm: true,
  };
  const { log } = await buildFrom(entries, image, query, hidingSteps(project, call));
  return log.map((line) => hide(line, project.hidden));
}

/** Its mounts, if it may be made at all: the same faults as of every tool that makes a container. */
async function mountsOfService(project: Project, service: Service, call: ToolCall): Promise<Mount[]> {
  await refuseBorrowed(service.image, call);
  for (const key of Object.keys(service.networks)) await refuseHostNetwork(project.networks.get(key)?.name, call);
  const engine = await call.engine();
  const { endpoint } = engine;
  const mounts: Mount[] = [];
  const bind = async (path: string, at: string, ReadOnly: boolean) => {
    const Source = await allowedPath(path, ReadOnly, endpoint, call.settings);
    const Target = posix.normalize(at);
    mounts.push({ Type: "bind", Source, Target, ReadOnly, BindOptions: { Propagation: "rprivate" } });
  };
  for (const { type, source, target, read_only: ReadOnly, nocopy: NoCopy, tmpfs } of service.volumes ?? []) {
    const Target = posix.normalize(target);
    if (type === "bind") await bind(source ?? "", target, ReadOnly);
    else if (type === "tmpfs") {
      const size = tmpfs?.size === undefined ? {} : { SizeBytes: tmpfs.size };
      const TmpfsOptions = { ...size, ...(tmpfs?.mode === undefined ? {} : { Mode: tmpfs.mode }) };
      mounts.push({ Type: "tmpfs", Target, ReadOnly, TmpfsOptions });
    } else {
      const Source = source === undefined ? undefined : project.volumes.get(source)?.name;
      if (Source !== undefined) await judgeVolume(await inspectVolume(engine, Source, call.deadline), ReadOnly, call);
      mounts.push({ Type: "volume", ...(Source ? { Source } : {}), Target, ReadOnly, VolumeOptions: { NoCopy } });
    }
  }
  const files = [
    ...(service.secrets ?? []).map((use) => ({ use, file: project.secrets.get(use.source), root: "/run/secrets/" })),
    ...(service.configs ?? []).map((use) => ({ use, file: project.configs.get(use.source), root: "/" })),
  ];
  for (const { use, file, root } of files) {
    if (file?.file === undefined) continue;
    const target = use.target ?? use.source;
    await bind(
      await readableFile(file.file, call.settings),
      target.startsWith("/") ? target : `${root}${target}`,
      true,
    );
  }
  return mounts;
}
