/** The tools about services on a real swarm of one node, in an engine of its own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { inspectService, type ServiceInfo } from "../../src/docker/services.ts";
import { cageProblem } from "../support/caged-engine.ts";
import { busyboxImage } from "../support/images.ts";
import { expectWorked, refusals, SWARM_PROOFS } from "../support/proofs.ts";
import { startSwarmEngine, type SwarmEngine } from "../support/swarm-engine.ts";
import { type ToolsetClient, toolsetClient } from "../support/toolset-client.ts";
import { until } from "../support/until.ts";
import { keptTests } from "./swarm-kept.ts";

const problem = cageProblem();
if (problem) process.stderr.write(`\n!! the tests of swarms were SKIPPED: ${problem}\n`);

const DESTRUCTIVE = { SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true" };
const SECRET = "hunter2";
const deadline = () => Deadline.in(30_000);

/** Each tool with arguments that are lawful and about nothing that exists. */
const CALLS: [string, Record<string, unknown>][] = [
  ["docker_list_services", {}],
  ["docker_inspect_service", { service_id: "none" }],
  ["docker_list_nodes", {}],
  ["docker_service_logs", { service_id: "none" }],
  ["docker_create_service", { image: "none:1", name: "none" }],
  ["docker_scale_service", { service_id: "none", replicas: 2 }],
  ["docker_update_service", { service_id: "none", image: "none:2" }],
  ["docker_remove_service", { service_id: "none" }],
];

describe.skipIf(problem !== undefined)("swarm", () => {
  let swarm: SwarmEngine;
  let session: ToolsetClient;
  let image: string;
  let folder: string;

  const open = (env: Record<string, string> = {}) => toolsetClient({ env: { DOCKER_HOST: swarm.host, ...env } });
  const service = async (name: string): Promise<ServiceInfo> => {
    const found = await inspectService(swarm.engine, name, deadline());
    if (!found) throw new Error(`no service ${name}`);
    return found;
  };
  const succeed = async (tool: string, args: Record<string, unknown>) => {
    const answer = await session.call(tool, args);
    expect([tool, answer.isError, answer.text]).toEqual([tool, undefined, answer.text]);
    return answer;
  };
  const running = (service_id: string, count: number) =>
    until(
      `${count} tasks of ${service_id}`,
      async () => (await session.call("docker_inspect_service", { service_id })).structured.running === count,
      30_000,
    );

  beforeAll(async () => {
    swarm = await startSwarmEngine();
    image = await busyboxImage(swarm.engine, ['ENTRYPOINT ["/bin/busybox"]']);
    session = await open(DESTRUCTIVE);
    folder = await mkdtemp(join(tmpdir(), "linkspan-test-swarm-folder-"));
  }, 90_000);
  afterAll(async () => {
    await session?.[Symbol.asyncDispose]();
    await swarm?.[Symbol.asyncDispose]();
    if (folder) await rm(folder, { recursive: true, force: true });
  }, 90_000);

  test("an engine that is no manager of a swarm", async () => {
    for (const [tool, args] of CALLS) {
      const { isError, structured, text } = await session.call(tool, args);
      expect([tool, isError, structured.kind]).toEqual([tool, true, "unsupported"]);
      expect(text).toContain("docker swarm init");
    }
  });

  describe("of one node", () => {
    beforeAll(() => swarm.init(), 60_000);

    test("a service: made, looked at, scaled, changed, back again", async () => {
      await succeed("docker_create_network", { name: "inner", driver: "overlay" });
      const made = await succeed("docker_create_service", {
        image,
        name: "web",
        command: ["sh", "-c", 'echo "says hello"; exec /bin/busybox sleep 600'],
        environment: { PASSWORD: SECRET, MODE: "a;b" },
        replicas: 1,
        ports: [{ target: 80, published: 18_080, mode: "host" }],
        volumes: [`${folder}:/folder`, "data:/data:rw"],
        networks: ["inner"],
        endpoint_mode: "dnsrr",
        constraints: ["node.role == manager"],
        labels: { app: "web" },
        memory: "32m",
        cpus: 0.5,
        pids: 50,
        reserve_memory: "8m",
        cap_drop: ["ALL"],
        read_only: true,
        restart_policy: "on-failure",
        stop_grace_period: "100ms",
        update_config: { order: "stop-first", monitor: "1s" },
      });
      expect(made.structured).toMatchObject({ name: "web", mode: "replicated", replicas: 1, labels: { app: "web" } });
      await running("web", 1);

      const { Spec } = await service("web");
      const [node] = (await succeed("docker_list_nodes", {})).structured.nodes as { id: string; leader: boolean }[];
      expect(node?.leader).toBe(true);
      expect(Spec.TaskTemplate).toMatchObject({
        ContainerSpec: {
          Args: ["sh", "-c", 'echo "says hello"; exec /bin/busybox sleep 600'],
          Env: [`PASSWORD=${SECRET}`, "MODE=a;b"],
          Mounts: [
            { Type: "bind", Source: folder, Target: "/folder", ReadOnly: true },
            { Type: "volume", Source: "data", Target: "/data" },
          ],
          CapabilityDrop: ["ALL"],
          ReadOnly: true,
          StopGracePeriod: 100_000_000,
        },
        Resources: {
          Limits: { MemoryBytes: 32 * 1024 ** 2, NanoCPUs: 500_000_000, Pids: 50 },
          Reservations: { MemoryBytes: 8 * 1024 ** 2 },
        },
        Placement: { Constraints: ["node.role == manager", `node.id==${node?.id}`] },
        RestartPolicy: { Condition: "on-failure" },
      });

      const listed = await succeed("docker_list_services", { filters: { label: "app=web" } });
      expect(listed.structured).toMatchObject({
        total: 1,
        services: [{ name: "web", running: 1, ports: ["18080->80/tcp (host)"] }],
      });
      const inspected = await succeed("docker_inspect_service", { service_id: "web" });
      expect(inspected.structured).toMatchObject({ running: 1, tasks: [{ state: "running", wanted: "running" }] });
      expect(JSON.stringify(inspected)).toContain("PASSWORD=***");
      expect(JSON.stringify(inspected)).not.toContain(SECRET);
      const logs = await until("its line", async () => {
        const { structured } = await session.call("docker_service_logs", { service_id: "web", tail: 10 });
        return Array.isArray(structured.lines) && structured.lines.length > 0 ? structured : undefined;
      });
      const [task] = inspected.structured.tasks as { id: string }[];
      expect(logs).toMatchObject({ lines: [{ task: task?.id, source: "stdout", text: "says hello" }], complete: true });

      await succeed("docker_update_service", { service_id: "web", environment: { MODE: "c" }, memory: "48m" });
      const changed = (await service("web")).Spec.TaskTemplate;
      expect(changed.ContainerSpec?.Env).toEqual([`PASSWORD=${SECRET}`, "MODE=c"]);
      expect(changed.Resources?.Limits).toMatchObject({ MemoryBytes: 48 * 1024 ** 2, Pids: 50 });
      const previous = await succeed("docker_inspect_service", { service_id: "web" });
      expect(JSON.stringify(previous)).not.toContain(SECRET);
      await succeed("docker_update_service", { service_id: "web", rollback: true });
      expect((await service("web")).Spec).toEqual(Spec);
      await succeed("docker_update_service", { service_id: "web", force: true });
      expect((await service("web")).Spec.TaskTemplate.ForceUpdate).toBe(1);
      await succeed("docker_scale_service", { service_id: "web", replicas: 0 });
      await running("web", 0);
    }, 60_000);

    test("removed after a confirmation, and back as it was", async () => {
      await succeed("docker_create_network", { name: "kept", driver: "overlay" });
      await succeed("docker_create_service", {
        image,
        name: "gone",
        command: "sleep 600",
        environment: { PASSWORD: SECRET },
        networks: ["kept"],
        endpoint_mode: "dnsrr",
        replicas: 2,
        stop_grace_period: "100ms",
      });
      await running("gone", 2);
      const before = await service("gone");
      const asked = await session.call("docker_remove_service", { service_id: "gone" });
      expect(asked.structured).toMatchObject({
        kind: "confirmation-required",
        plan: { objects: [{ kind: "service", name: "gone" }] },
      });
      const { confirmation_token } = asked.structured;
      expect((await service("gone")).ID).toBe(before.ID);
      const removed = await succeed("docker_remove_service", { service_id: "gone", confirmation_token });
      expect(await inspectService(swarm.engine, "gone", deadline())).toBeUndefined();
      expect(JSON.stringify([asked, removed])).not.toContain(SECRET);
      const undone = await succeed("docker_undo", { id: removed.structured.undo });
      expect(undone.structured.restored).toEqual(["service gone"]);
      await running("gone", 2);
      const after = await service("gone");
      expect(after.Spec).toEqual(before.Spec);
      expect(after.ID).not.toBe(before.ID);

      const again = await session.call("docker_remove_service", { service_id: after.ID });
      const token = again.structured.confirmation_token;
      const second = await succeed("docker_remove_service", { service_id: after.ID, confirmation_token: token });
      await succeed("docker_create_service", { image, name: "gone", command: "sleep 1", replicas: 0 });
      const taken = await session.call("docker_undo", { id: second.structured.undo });
      expect(taken.structured.kind).toBe("conflict");
    }, 60_000);

    test("a service that cannot run says why", async () => {
      await succeed("docker_create_service", {
        image: "linkspan-test/absent:1",
        name: "broken",
        restart_policy: "none",
      });
      await until(
        "the reason",
        async () =>
          (await session.call("docker_inspect_service", { service_id: "broken" })).text.includes("No such image"),
        30_000,
      );
    }, 60_000);

    keptTests(() => ({ swarm, session, image, folder, open }));

    test("what does not exist, and what is refused", () => refusals(session, SWARM_PROOFS));

    test("what is refused, and nothing of it reached the swarm", async () => {
      const template = join(folder, '{{index .Service.Labels "x"}}');
      await mkdir(template);
      const rows: [string, Record<string, unknown>, string][] = [
        ["docker_inspect_service", { service_id: "../nodes" }, "invalid"],
        ["docker_create_service", { image, name: "-x" }, "invalid"],
        ["docker_create_service", { image: "--privileged" }, "invalid"],
        ["docker_create_service", { image, mode: "global", replicas: 2 }, "invalid"],
        ["docker_create_service", { image, replicas: -1 }, "invalid"],
        ["docker_create_service", { image, cap_add: ["SYS_ADMIN"] }, "invalid"],
        ["docker_create_service", { image, privileged: true }, "invalid"],
        ["docker_create_service", { image, sysctls: { "kernel.domainname": "x" } }, "invalid"],
        ["docker_create_service", { image, ports: ["127.0.0.1:80:80"] }, "invalid"],
        ["docker_create_service", { image, ports: ["99999:80"] }, "invalid"],
        ["docker_create_service", { image, constraints: ["node.role"] }, "invalid"],
        ["docker_create_service", { image, networks: ["host"] }, "forbidden"],
        ["docker_create_service", { image, networks: ["bridge"] }, "invalid"],
        ["docker_create_service", { image, volumes: ["/:/host"] }, "forbidden"],
        ["docker_create_service", { image, volumes: ["/var/run/docker.sock:/s"] }, "forbidden"],
        ["docker_create_service", { image, volumes: [`${template}:/x`] }, "forbidden"],
        ["docker_create_service", { image, name: "web" }, "conflict"],
        ["docker_update_service", { service_id: "web" }, "invalid"],
        ["docker_update_service", { service_id: "web", rollback: true, image }, "invalid"],
        ["docker_update_service", { service_id: "web", volumes: ["/etc:/etc:rw"] }, "forbidden"],
        ["docker_update_service", { service_id: "web", update_config: { order: "both" } }, "invalid"],
        ["docker_scale_service", { service_id: "web", replicas: 1e9 }, "invalid"],
        ["docker_service_logs", { service_id: "web", tail: 0 }, "invalid"],
        ["docker_remove_service", { service_id: "web", force: true }, "invalid"],
      ];
      const before = (await succeed("docker_list_services", {})).structured.total;
      const web = await service("web");
      for (const [tool, args, kind] of rows) {
        const { isError, structured } = await session.call(tool, args);
        expect([tool, args, isError, structured.kind]).toEqual([tool, args, true, kind]);
      }
      expect((await succeed("docker_list_services", {})).structured.total).toBe(before);
      expect((await service("web")).Version).toEqual(web.Version);
      const everywhere = {
        image,
        name: "everywhere",
        mode: "global",
        command: "sleep 600",
        stop_grace_period: "100ms",
      };
      await succeed("docker_create_service", everywhere);
      const scaled = await session.call("docker_scale_service", { service_id: "everywhere", replicas: 2 });
      expect(scaled.structured.kind).toBe("conflict");
    }, 60_000);

    test("the tools that are shown here have worked", () => expectWorked(import.meta.path));
  });
});
