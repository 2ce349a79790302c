/** What is to be done so that the engine has what the file says. Pure: what there is goes in, steps come out. */
import { inOrder, withDependencies } from "./order.ts";
import { containerName, hashOf, type Project, type Service, serviceHash } from "./project.ts";
import type { Condition } from "./service-schema.ts";

/** A container of the project. */
export interface Seen {
  id: string;
  name: string;
  service: string;
  number: number;
  /** `running`, `exited`, … */
  state: string;
  hash: string;
  imageId: string;
}

/** What the engine has of the project. */
export interface Observed {
  containers: readonly Seen[];
  /** By the engine's names; `hash` where the network is the project's own. */
  networks: ReadonlyMap<string, Owned>;
  volumes: ReadonlyMap<string, Owned>;
  /** Ids, by the names that the services use. */
  images: ReadonlyMap<string, string>;
}
export interface Owned {
  project: string | undefined;
  hash: string | undefined;
}

export interface UpOptions {
  /** These and what they depend on; all where none is named. */
  services?: readonly string[] | undefined;
  noDependencies?: boolean;
  forceRecreate?: boolean;
  noRecreate?: boolean;
  build?: boolean;
  removeOrphans?: boolean;
  /** Containers of a service, instead of what the file says. */
  scale?: Readonly<Record<string, number>>;
  /** Made, but not started. */
  noStart?: boolean;
}

interface Of {
  service: string;
  name: string;
}
export type Step =
  | ({ do: "build" | "pull"; image: string } & Of)
  | { do: "create-network" | "create-volume"; key: string; name: string }
  | ({ do: "create"; number: number } & Of)
  | ({ do: "recreate"; number: number; id: string; reason: string } & Of)
  | ({ do: "start" | "restart" | "remove"; id: string; reason: string } & Of)
  | { do: "wait"; service: string; name: string; condition: Condition; for: string };

export interface ComposePlan {
  steps: Step[];
  remarks: string[];
  /** What keeps it from being done at all. */
  conflicts: string[];
}

/** Images first: whether a container has to be made anew depends on them. */
export function planImages(project: Project, observed: Observed, options: UpOptions): Step[] {
  const steps: Step[] = [];
  for (const service of inScope(project, options)) {
    const { name, image, pull_policy: policy } = service;
    const absent = !observed.images.has(image);
    if (service.build && (options.build || absent || policy === "build"))
      steps.push({ do: "build", service: name, name: image, image });
    else if (!service.build && (policy === "always" || (absent && policy !== "never")))
      steps.push({ do: "pull", service: name, name: image, image });
  }
  return steps.filter(({ name }, index) => steps.findIndex((other) => other.name === name) === index);
}

export function planUp(project: Project, observed: Observed, options: UpOptions): ComposePlan {
  const scope = inScope(project, options);
  const plan: ComposePlan = { steps: [], remarks: [], conflicts: [] };
  planShared(project, observed, scope, plan);
  const changed = new Set<string>();
  for (const service of scope) {
    const steps = planService(project, service, observed, options);
    const starts = steps.some((step) => step.do !== "remove" && !(options.noStart && step.do === "start"));
    if (!starts && restarts(service, changed)) steps.push(...restartAll(service, observed));
    const first = steps.find(({ do: what }) => what !== "remove");
    if (first && !options.noStart) plan.steps.push(...waits(project, service));
    if (steps.some(({ do: what }) => what === "recreate")) changed.add(service.name);
    plan.steps.push(...steps);
  }
  planOrphans(project, observed, options, plan);
  return plan;
}

function inScope(project: Project, { services = [], noDependencies }: UpOptions): Service[] {
  const { order } = inOrder(project);
  if (services.length === 0) return order;
  const wanted = noDependencies ? new Set(services) : withDependencies(project, services);
  return order.filter(({ name }) => wanted.has(name));
}

function planShared(project: Project, observed: Observed, scope: readonly Service[], plan: ComposePlan): void {
  const kinds = [
    {
      what: "network",
      step: "create-network",
      items: project.networks,
      seen: observed.networks,
      used: new Set(scope.flatMap(({ networks }) => Object.keys(networks))),
    },
    {
      what: "volume",
      step: "create-volume",
      items: project.volumes,
      seen: observed.volumes,
      used: new Set(scope.flatMap(({ volumes }) => (volumes ?? []).map(({ source }) => source ?? ""))),
    },
  ] as const;
  for (const { what, step, items, seen, used } of kinds) {
    for (const [key, item] of items) {
      if (!used.has(key)) continue;
      const { name, external } = item;
      const found = seen.get(name);
      if (external) {
        if (!found) plan.conflicts.push(`the ${what} ${name} is external, and does not exist`);
      } else if (!found) {
        plan.steps.push({ do: step, key, name });
      } else if (found.project !== project.name) {
        plan.conflicts.push(
          `there is a ${what} ${name} already that is not this project's; say external: true to use it as it is`,
        );
      } else if (found.hash !== undefined && found.hash !== hashOf(item)) {
        plan.remarks.push(`The ${what} ${name} has other settings than the file says; it is used as it is.`);
      }
    }
  }
}

function planService(project: Project, service: Service, observed: Observed, options: UpOptions): Step[] {
  const { name } = service;
  const own = observed.containers
    .filter((seen) => seen.service === name)
    .toSorted((left, right) => left.number - right.number);
  const wanted = options.scale?.[name] ?? service.replicas;
  const steps: Step[] = own
    .slice(wanted)
    .map((seen) => ({ do: "remove", service: name, name: seen.name, id: seen.id, reason: `${wanted} are wanted` }));
  for (const seen of own.slice(0, wanted)) {
    const reason = reasonToRecreate(project, service, seen, observed, options);
    const of = { service: name, name: seen.name, id: seen.id };
    if (reason !== undefined)
      steps.push({
        do: "recreate",
        ...of,
        name: containerName(project, service, seen.number),
        number: seen.number,
        reason,
      });
    else if (seen.state !== "running" && seen.state !== "restarting" && !options.noStart)
      steps.push({ do: "start", ...of, reason: seen.state });
  }
  const last = Math.max(0, ...own.slice(0, wanted).map(({ number }) => number));
  for (let number = last + 1; number <= last + wanted - own.length; number += 1)
    steps.push({ do: "create", service: name, number, name: containerName(project, service, number) });
  return steps;
}

function reasonToRecreate(
  project: Project,
  service: Service,
  seen: Seen,
  { images }: Observed,
  { forceRecreate, noRecreate }: UpOptions,
): string | undefined {
  if (forceRecreate) return "asked for";
  if (noRecreate) return undefined;
  if (seen.hash !== serviceHash(project, service)) return "its settings have changed";
  const image = images.get(service.image);
  if (image !== undefined && image !== seen.imageId) return "its image has changed";
  return seen.state === "dead" || seen.state === "removing" ? `it is ${seen.state}` : undefined;
}

/** `depends_on` with `restart: true`. */
function restarts({ depends_on }: Service, changed: ReadonlySet<string>): boolean {
  return Object.entries(depends_on).some(([name, { restart }]) => restart && changed.has(name));
}

function restartAll({ name }: Service, { containers }: Observed): Step[] {
  return containers
    .filter((seen) => seen.service === name && seen.state === "running")
    .map((seen) => ({
      do: "restart",
      service: name,
      name: seen.name,
      id: seen.id,
      reason: "what it depends on has changed",
    }));
}

function waits(project: Project, service: Service): Step[] {
  return Object.entries(service.depends_on)
    .filter(([name, { condition }]) => condition !== "service_started" && project.services.has(name))
    .map(([name, { condition }]) => ({ do: "wait", service: name, name, condition, for: service.name }));
}

function planOrphans(project: Project, { containers }: Observed, options: UpOptions, plan: ComposePlan): void {
  const orphans = containers.filter(({ service }) => !project.services.has(service) && !project.inactive.has(service));
  for (const { service, name, id } of orphans) {
    if (options.removeOrphans)
      plan.steps.push({ do: "remove", service, name, id, reason: "the file has no such service" });
    else plan.remarks.push(`${name} belongs to no service of the file; remove_orphans removes it.`);
  }
}

/** One line for people. */
export function describeStep(step: Step): string {
  switch (step.do) {
    case "wait":
      return `wait for ${step.service} (${step.condition.slice("service_".length)}) before ${step.for}`;
    case "create-network":
      return `create the network ${step.name}`;
    case "create-volume":
      return `create the volume ${step.name}`;
    case "build":
    case "pull":
      return `${step.do} the image ${step.image}`;
    case "create":
      return `create ${step.name}`;
    default:
      return `${step.do} ${step.name} (${step.reason})`;
  }
}
