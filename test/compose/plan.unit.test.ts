/** The plan: tables of what is to be done, and that nothing is to be done once it has been. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { containerPlan } from "../../src/compose/container.ts";
import { loadProject } from "../../src/compose/load.ts";
import {
  type ComposePlan,
  describeStep,
  type Observed,
  planImages,
  planUp,
  type Seen,
  type Step,
  type UpOptions,
} from "../../src/compose/plan.ts";
import { hashOf, hide, type Project, serviceHash } from "../../src/compose/project.ts";
import { seeded } from "../support/seed.ts";

async function projectOf(text: string): Promise<Project> {
  const loaded = await loadProject({
    files: [{ text }],
    projectName: "p",
    env: {},
    profiles: [],
    allowPrivileged: false,
    read: () => Promise.reject(new Error("no files here")),
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.findings));
  return loaded.project;
}

interface World {
  containers: Map<string, Seen>;
  networks: Observed["networks"] & Map<string, { project: string; hash: string }>;
  volumes: Observed["volumes"] & Map<string, { project: string; hash: string }>;
  images: Map<string, string>;
}

const emptyWorld = (): World => ({ containers: new Map(), networks: new Map(), volumes: new Map(), images: new Map() });
const observed = (world: World): Observed => ({ ...world, containers: [...world.containers.values()] });

let ids = 0;

/** What an engine would have after the step. */
function done(world: World, project: Project, step: Step): void {
  switch (step.do) {
    case "build":
    case "pull":
      world.images.set(step.image, `sha256:${(ids += 1)}`);
      break;
    case "create-network":
      world.networks.set(step.name, { project: project.name, hash: hashOf(project.networks.get(step.key)) });
      break;
    case "create-volume":
      world.volumes.set(step.name, { project: project.name, hash: hashOf(project.volumes.get(step.key)) });
      break;
    case "create":
    case "recreate": {
      const service = project.services.get(step.service);
      if (!service) throw new Error(step.service);
      if (step.do === "recreate") world.containers.delete(step.id);
      const id = `c${(ids += 1)}`;
      const facts = { service: service.name, number: step.number, state: "running", name: step.name };
      const imageId = world.images.get(service.image) ?? "";
      world.containers.set(id, { id, ...facts, hash: serviceHash(project, service), imageId });
      break;
    }
    case "remove":
      world.containers.delete(step.id);
      break;
    case "start":
    case "restart": {
      const seen = world.containers.get(step.id);
      if (seen) world.containers.set(step.id, { ...seen, state: "running" });
    }
  }
}

function up(world: World, project: Project, options: UpOptions = {}): ComposePlan {
  const images = planImages(project, observed(world), options);
  for (const step of images) done(world, project, step);
  const plan = planUp(project, observed(world), options);
  for (const step of plan.steps) done(world, project, step);
  return { ...plan, steps: [...images, ...plan.steps] };
}

const words = ({ steps }: ComposePlan) => steps.map(describeStep);

const SHOP = `
services:
  web: { image: web, depends_on: { db: { condition: service_healthy, restart: true } }, networks: [front, default] }
  db: { image: db, volumes: [data:/data] }
networks: { front: }
volumes: { data: , unused: }
`;

describe("up", () => {
  test("from nothing, and again", async () => {
    const [project, world] = [await projectOf(SHOP), emptyWorld()];
    expect(words(up(world, project))).toEqual([
      "pull the image db",
      "pull the image web",
      "create the network p_front",
      "create the network p_default",
      "create the volume p_data",
      "create p-db-1",
      "wait for db (healthy) before web",
      "create p-web-1",
    ]);
    expect(words(up(world, project))).toEqual([]);
  });

  test("what has changed is replaced, and who asked for it restarts", async () => {
    const world = emptyWorld();
    up(world, await projectOf(SHOP));
    const changed = await projectOf(SHOP.replace("image: db,", "image: db, user: nobody,"));
    expect(words(up(world, changed, { noRecreate: true }))).toEqual([]);
    expect(words(up(world, changed))).toEqual([
      "recreate p-db-1 (its settings have changed)",
      "wait for db (healthy) before web",
      "restart p-web-1 (what it depends on has changed)",
    ]);
    world.images.set("web", "sha256:other");
    expect(words(up(world, changed))).toEqual([
      "wait for db (healthy) before web",
      "recreate p-web-1 (its image has changed)",
    ]);
    expect(words(up(world, changed, { services: ["db"], forceRecreate: true }))).toEqual([
      "recreate p-db-1 (asked for)",
    ]);
  });

  test("scaled up and down, by number", async () => {
    const [project, world] = [await projectOf(SHOP), emptyWorld()];
    up(world, project);
    const scale = { services: ["web"], noDependencies: true, noRecreate: true };
    const more = words(up(world, project, { ...scale, scale: { web: 3 } }));
    expect(more.slice(1)).toEqual(["create p-web-2", "create p-web-3"]);
    expect(words(up(world, project, { ...scale, scale: { web: 1 } }))).toEqual([
      "remove p-web-2 (1 are wanted)",
      "remove p-web-3 (1 are wanted)",
    ]);
  });

  test("orphans are told, or removed where that is asked for", async () => {
    const world = emptyWorld();
    up(world, await projectOf(SHOP));
    const less = await projectOf("services: { db: { image: db, volumes: [data:/data] } }\nvolumes: { data: }");
    const told = up(world, less);
    expect([words(told), told.remarks.length]).toEqual([[], 1]);
    expect(words(up(world, less, { removeOrphans: true }))).toEqual(["remove p-web-1 (the file has no such service)"]);
  });

  test("what others have is not taken, and what is external is not made", async () => {
    const world = emptyWorld();
    world.networks.set("p_front", { project: "other", hash: "" });
    expect(up(world, await projectOf(SHOP)).conflicts).toEqual([expect.stringContaining("p_front")]);
    const external = await projectOf(SHOP.replace("front: }", "front: { external: true } }"));
    expect(planUp(external, observed(emptyWorld()), {}).conflicts).toEqual([
      "the network front is external, and does not exist",
    ]);
  });

  test("no more than is named, with what it needs", async () => {
    const project = await projectOf(SHOP);
    expect(words(up(emptyWorld(), project, { services: ["db"] }))).not.toContain("create p-web-1");
    expect(words(up(emptyWorld(), project, { services: ["web"] }))).toContain("create p-db-1");
    expect(words(up(emptyWorld(), project, { services: ["web"], noDependencies: true }))).not.toContain(
      "create p-db-1",
    );
  });
});

const NAMES = ["a", "b", "c", "d"];
const service = (index: number) =>
  fc.record({
    image: fc.constantFrom("one", "two"),
    user: fc.option(fc.constantFrom("1", "2"), { nil: undefined }),
    scale: fc.integer({ min: 0, max: 3 }),
    networks: fc.subarray(["n", "m"]),
    volumes: fc.subarray(["v:/v", "w:/w", "/x"]),
    depends_on: fc.subarray(NAMES.slice(0, index)),
  });
const file = fc
  .tuple(...NAMES.map((_, index) => fc.option(service(index), { nil: undefined, freq: 3 })))
  .map((list) => {
    const there = NAMES.filter((_, index) => list[index]);
    const services = list.flatMap((one, index) =>
      one ? [[NAMES[index], { ...one, depends_on: one.depends_on.filter((name) => there.includes(name)) }]] : [],
    );
    return JSON.stringify({
      services: Object.fromEntries(services),
      networks: { n: {}, m: {} },
      volumes: { v: {}, w: {} },
    });
  });

test("whatever was there: once a file has been applied, nothing is to be done", async () => {
  const property = fc.asyncProperty(
    file,
    file,
    fc.array(fc.nat({ max: 20 }), { maxLength: 4 }),
    async (first, second, stopped) => {
      const world = emptyWorld();
      up(world, await projectOf(first));
      for (const index of stopped) {
        const seen = [...world.containers.values()][index];
        if (seen) world.containers.set(seen.id, { ...seen, state: "exited" });
      }
      const project = await projectOf(second);
      const plan = up(world, project, { removeOrphans: true });
      for (const [index, step] of plan.steps.entries()) {
        if (step.do !== "create" && step.do !== "recreate") continue;
        // Nobody is made before what it depends on.
        const needs = Object.keys(project.services.get(step.service)?.depends_on ?? {});
        expect(plan.steps.slice(index).some((later) => later.do === "create" && needs.includes(later.service))).toBe(
          false,
        );
      }
      expect(words(up(world, project))).toEqual([]);
      for (const [name, { replicas }] of project.services) {
        const own = [...world.containers.values()].filter((seen) => seen.service === name);
        expect([own.length, new Set(own.map((seen) => seen.name)).size]).toEqual([replicas, replicas]);
      }
    },
  );
  await fc.assert(property, seeded("compose plan", 150));
});

test("a container has what the service says, and docker compose's labels", async () => {
  const project = await projectOf(`services:
  a:
    image: i
    entrypoint: []
    restart: on-failure:3
    ports: ["8080:80", "0.0.0.0:53:53/udp"]
    deploy: { resources: { limits: { cpus: "0.5", memory: 1g } } }
    stop_grace_period: 1500ms
    tmpfs: [/run, "/t:size=1m"]
    networks: { n: { aliases: [x], ipv4_address: 10.0.0.2 }, m: { priority: 5 } }
networks: { n: , m: }
`);
  const [one] = project.services.values();
  if (!one) throw new Error("no service");
  const plan = containerPlan(project, one, 2, [], "sha256:1");
  expect(plan).toMatchObject({
    name: "p-a-2",
    more: [{ network: "p_n", place: { Aliases: ["p-a-2", "a", "x"], IPAMConfig: { IPv4Address: "10.0.0.2" } } }],
    config: {
      Entrypoint: [""],
      StopTimeout: 2,
      NetworkingConfig: { EndpointsConfig: { p_m: { Aliases: ["p-a-2", "a"] } } },
      Labels: {
        "com.docker.compose.project": "p",
        "com.docker.compose.service": "a",
        "com.docker.compose.container-number": "2",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.config-hash": serviceHash(project, one),
      },
      HostConfig: {
        NetworkMode: "p_m",
        NanoCpus: 5e8,
        Memory: 1024 ** 3,
        MemorySwap: 1024 ** 3,
        RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
        Tmpfs: { "/run": "", "/t": "size=1m" },
        Privileged: false,
        PortBindings: {
          "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8080" }],
          "53/udp": [{ HostIp: "0.0.0.0", HostPort: "53" }],
        },
      },
    },
  });
});

test("the hash is of what makes a container, and of nothing else", async () => {
  const hash = async (fields: string) => {
    const project = await projectOf(`services: { a: { image: i, ${fields} }, b: { image: i } }`);
    const found = project.services.get("a");
    return found && serviceHash(project, found);
  };
  const plain = await hash("tty: true");
  for (const same of ["scale: 3", "depends_on: [b]", "pull_policy: always", "deploy: { replicas: 2 }"])
    expect([same, await hash(`tty: true, ${same}`)]).toEqual([same, plain]);
  for (const other of ["user: '1'", "environment: { A: b }", "labels: { a: b }", "command: [x]"])
    expect(await hash(`tty: true, ${other}`)).not.toBe(plain);
});

test("hiding: long values anywhere, short ones only where they stand alone", () => {
  expect(hide("a hunter2x b a1 b", new Set(["hunter2", "b"]))).toBe("a ***x *** a1 ***");
});
