/** Does the steps of a plan, one after the other. */
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { archiveOf, type Entry } from "../docker/archive.ts";
import type { Mount } from "../docker/container-config.ts";
import {
  at,
  type ContainerInfo,
  createContainer,
  inspectContainer,
  putArchive,
  removeContainer,
  startContainer,
} from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";
import { inspectImage } from "../docker/images.ts";
import { createNetwork } from "../docker/networks.ts";
import { containerPlan } from "./container.ts";
import { seenContainers } from "./observe.ts";
import { describeStep, type Step } from "./plan.ts";
import { COMPOSE_VERSION, hashOf, LABELS, type Project, type Service } from "./project.ts";
import type { Condition } from "./service-schema.ts";

const LOOK_MS = 200;
const CLEAN_MS = 30_000;
const UNNAMED = /^[0-9a-f]{64}$/;

export interface Hands {
  engine: Engine;
  deadline: Deadline;
  /** Builds or pulls. */
  image(step: Extract<Step, { do: "build" | "pull" }>, service: Service): Promise<void>;
  /** A service's mounts, judged now, with its image and networks. Faults: `forbidden`, `invalid`. */
  mounts(service: Service): Promise<Mount[]>;
  report(text: string, current: number, total: number): void;
}

/** Faults: of the first step that fails; those before it stay done, and the next `up` goes on from there. */
export async function applySteps(
  project: Project,
  steps: readonly Step[],
  hands: Hands,
  { start }: { start: boolean },
): Promise<void> {
  for (const [index, step] of steps.entries()) {
    hands.report(describeStep(step), index, steps.length);
    await applyStep(project, step, hands, start);
  }
}

async function applyStep(project: Project, step: Step, hands: Hands, start: boolean): Promise<void> {
  const { engine, deadline } = hands;
  switch (step.do) {
    case "build":
    case "pull":
      return hands.image(step, serviceOf(project, step.service));
    case "create-network":
      return makeNetwork(project, step.key, hands);
    case "create-volume":
      return makeVolume(project, step.key, hands);
    case "create": {
      const service = serviceOf(project, step.service);
      const id = await make(project, service, step.number, undefined, hands);
      return start ? startOrTake(id, hands) : undefined;
    }
    case "recreate":
      return recreate(project, step, hands, start);
    case "start":
      return startContainer(engine, step.id, deadline);
    case "restart":
      return engine.act({ what: `restarting ${step.name}`, method: "POST", path: at(step.id, "restart") }, deadline);
    case "remove":
      await stop(step.id, step.name, hands);
      return engine.act({ what: `removing ${step.name}`, method: "DELETE", path: at(step.id) }, deadline);
    case "wait":
      return waitFor(project, step.service, step.condition, hands);
  }
}

function serviceOf(project: Project, name: string): Service {
  const service = project.services.get(name);
  if (service) return service;
  throw new Fault("internal", `the plan names a service ${name} that is not there`);
}

async function makeNetwork(project: Project, key: string, { engine, deadline }: Hands): Promise<void> {
  const network = project.networks.get(key);
  if (!network) throw new Fault("internal", `the plan names a network ${key} that is not there`);
  const { name: Name, driver: Driver = "bridge", driver_opts: Options, labels, internal: Internal, ipam } = network;
  const config = (ipam?.config ?? []).map(({ subnet, ip_range, gateway }) => ({
    ...(subnet === undefined ? {} : { Subnet: subnet }),
    ...(ip_range === undefined ? {} : { IPRange: ip_range }),
    ...(gateway === undefined ? {} : { Gateway: gateway }),
  }));
  const Labels = { ...labels, ...sharedLabels(project, LABELS.network, key), [LABELS.hash]: hashOf(network) };
  const more = { Attachable: network.attachable, EnableIPv6: network.enable_ipv6 };
  const body = { Name, Driver, Internal, Options, Labels, ...more };
  await createNetwork(engine, config.length > 0 ? { ...body, IPAM: { Config: config } } : body, deadline);
}

async function makeVolume(project: Project, key: string, { engine, deadline }: Hands): Promise<void> {
  const volume = project.volumes.get(key);
  if (!volume) throw new Fault("internal", `the plan names a volume ${key} that is not there`);
  const { name: Name, driver_opts: DriverOpts, labels } = volume;
  const Labels = { ...labels, ...sharedLabels(project, LABELS.volume, key), [LABELS.hash]: hashOf(volume) };
  const body = { Name, Driver: "local", DriverOpts, Labels };
  await engine.act({ what: `creating the volume ${Name}`, method: "POST", path: "/volumes/create", body }, deadline);
}

function sharedLabels(project: Project, label: string, key: string): Record<string, string> {
  return { [LABELS.project]: project.name, [label]: key, [LABELS.version]: COMPOSE_VERSION };
}

/** Made, joined to its networks, its files in it; not started. Taken away again where any of that fails. */
async function make(
  project: Project,
  service: Service,
  number: number,
  before: ContainerInfo | undefined,
  hands: Hands,
): Promise<string> {
  const { engine, deadline } = hands;
  const mounts = await hands.mounts(service);
  const image = await inspectImage(engine, service.image, deadline);
  const kept = before ? unnamedVolumes(before, mounts) : [];
  const { name, config, more } = containerPlan(project, service, number, [...mounts, ...kept], image?.Id ?? "");
  const id = await createContainer(engine, name, config, deadline, service.platform);
  try {
    for (const { network, place } of more) {
      const path = `/networks/${encodeURIComponent(network)}/connect`;
      const body = { Container: id, EndpointConfig: place };
      await engine.act({ what: `connecting ${name} to ${network}`, method: "POST", path, body }, deadline);
    }
    const files = contentsOf(project, service);
    if (files.length > 0) await putArchive(engine, id, "/", archiveOf(files), deadline);
    return id;
  } catch (error) {
    await removeContainer(engine, id, Deadline.in(CLEAN_MS)).catch(() => {});
    throw error;
  }
}

/** Secrets and configs whose content is in the file or in a variable; those of files are mounted. */
function contentsOf(project: Project, service: Service): Entry[] {
  const wanted = [
    ...(service.secrets ?? []).map((use) => ({ use, file: project.secrets.get(use.source), root: "/run/secrets/" })),
    ...(service.configs ?? []).map((use) => ({ use, file: project.configs.get(use.source), root: "/" })),
  ];
  return wanted.flatMap(({ use, file, root }): Entry[] => {
    if (file?.content === undefined) return [];
    const target = use.target ?? use.source;
    const path = target.startsWith("/") ? target : `${root}${target}`;
    return [{ kind: "bytes", name: path.slice(1), bytes: Buffer.from(file.content), mode: use.mode ?? 0o444 }];
  });
}

/** Volumes without a name go over to the container that takes the place. */
function unnamedVolumes(before: ContainerInfo, mounts: readonly Mount[]): Mount[] {
  const taken = new Set(mounts.map(({ Target }) => Target));
  const own: unknown[] = Array.isArray(before["Mounts"]) ? before["Mounts"] : [];
  return own.flatMap((mount): Mount[] => {
    if (typeof mount !== "object" || mount === null || !("Name" in mount) || !("Destination" in mount)) return [];
    const [Source, Target] = [String(mount.Name), String(mount.Destination)];
    return UNNAMED.test(Source) && !taken.has(Target) ? [{ Type: "volume", Source, Target, ReadOnly: false }] : [];
  });
}

async function startOrTake(id: string, { engine, deadline }: Hands): Promise<void> {
  try {
    await startContainer(engine, id, deadline);
  } catch (error) {
    await removeContainer(engine, id, Deadline.in(CLEAN_MS)).catch(() => {});
    throw error;
  }
}

/** The old one stays aside until the new one has started; where that fails it takes its place again. */
async function recreate(
  project: Project,
  step: Extract<Step, { do: "recreate" }>,
  hands: Hands,
  start: boolean,
): Promise<void> {
  const { engine, deadline } = hands;
  const before = await inspectContainer(engine, step.id, deadline);
  if (!before) throw new Fault("conflict", `${step.name} is gone`, { hint: "Call it again." });
  const service = serviceOf(project, step.service);
  const ran = before.State.Status === "running";
  const was = before.Name.replace(/^\//, "");
  const rename = (name: string, within: Deadline) =>
    engine.act({ what: `renaming ${was}`, method: "POST", path: at(step.id, "rename"), query: { name } }, within);
  await stop(step.id, was, hands);
  await rename(`${step.id.slice(0, 12)}_${was}`, deadline);
  try {
    const id = await make(project, service, step.number, before, hands);
    if (start) await startOrTake(id, hands);
  } catch (error) {
    const back = Deadline.in(CLEAN_MS);
    await rename(was, back).catch(() => {});
    if (ran) await startContainer(engine, step.id, back).catch(() => {});
    throw error;
  }
  // Its volumes without a name are the new one's now.
  await engine.act({ what: `removing the former ${was}`, method: "DELETE", path: at(step.id) }, deadline);
}

async function stop(id: string, name: string, { engine, deadline }: Hands): Promise<void> {
  const request = { what: `stopping ${name}`, method: "POST", path: at(id, "stop"), patient: true } as const;
  await engine.act(request, deadline);
}

/** Faults: `server-failed` where it can not become so any more, `timeout`. */
async function waitFor(project: Project, service: string, condition: Condition, hands: Hands): Promise<void> {
  const { engine, deadline } = hands;
  const containers = await seenContainers(engine, project.name, deadline);
  for (const { id, name } of containers.filter((seen) => seen.service === service)) {
    while (!met(await inspectContainer(engine, id, deadline), name, condition)) {
      if (deadline.remainingMs < 2 * LOOK_MS) throw deadline.fault(`waiting for ${name}`);
      await sleep(LOOK_MS, deadline.signal);
    }
  }
}

function met(info: ContainerInfo | undefined, name: string, condition: Condition): boolean {
  const failed = (why: string) =>
    new Fault("server-failed", `${name} ${why}`, { hint: "docker_compose_logs shows what it has written." });
  if (!info) throw failed("is gone");
  const { Status, ExitCode, Health } = info.State;
  const over = Status === "exited" || Status === "dead";
  if (condition === "service_completed_successfully") {
    if (over && ExitCode !== 0) throw failed(`has ended with exit code ${ExitCode}`);
    return over;
  }
  if (over) throw failed(`has ended with exit code ${ExitCode}`);
  if (!Health) throw failed("has no health check");
  if (Health.Status === "unhealthy") throw failed("is unhealthy");
  return Health.Status === "healthy";
}
