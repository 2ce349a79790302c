/** Tests of what a change of a service keeps, in the swarm of swarm.test.ts. */
import { expect, test } from "bun:test";
import * as v from "valibot";
import { Deadline } from "../../src/base/deadline.ts";
import { createService, inspectService, ownNode, serviceSpec } from "../../src/docker/services.ts";
import type { SwarmEngine } from "../support/swarm-engine.ts";
import type { ToolsetClient } from "../support/toolset-client.ts";

const SECRET = "hunter2";
const deadline = () => Deadline.in(30_000);

interface Stage {
  swarm: SwarmEngine;
  session: ToolsetClient;
  image: string;
  folder: string;
  open(env: Record<string, string>): Promise<ToolsetClient>;
}

export function keptTests(stage: () => Stage): void {
  const service = async (name: string) => {
    const found = await inspectService(stage().swarm.engine, name, deadline());
    if (!found) throw new Error(`no service ${name}`);
    return found;
  };
  const succeed = async (tool: string, args: Record<string, unknown>) => {
    const answer = await stage().session.call(tool, args);
    expect([tool, answer.isError, answer.text]).toEqual([tool, undefined, answer.text]);
  };
  /** As somebody else makes one, with the engine's own call. */
  const foreign = async (name: string, container: Record<string, unknown>, task: Record<string, unknown> = {}) => {
    const spec = v.parse(serviceSpec, {
      Name: name,
      Labels: { team: "a" },
      TaskTemplate: {
        ContainerSpec: { Image: stage().image, Args: ["sleep", "600"], StopGracePeriod: 1e8, ...container },
        ...task,
      },
      Mode: { Replicated: { Replicas: 0 } },
      UpdateConfig: { Parallelism: 2, Order: "start-first" },
      RollbackConfig: { Parallelism: 3 },
      EndpointSpec: {
        Mode: "vip",
        Ports: [{ TargetPort: 80, PublishedPort: 18_081 + made.length, Protocol: "tcp" }],
      },
    });
    made.push(name);
    await createService(stage().swarm.engine, spec, deadline());
    return service(name);
  };
  const made: string[] = [];

  test("services changed by update keep what they have", async () => {
    const node = await ownNode(stage().swarm.engine, deadline());
    const rich = {
      Hostname: "h",
      Env: ["A=1", `PASSWORD=${SECRET}`],
      Dir: "/bin",
      User: "65534",
      StopSignal: "SIGINT",
      Hosts: ["10.0.0.1 there"],
      DNSConfig: { Nameservers: ["10.0.0.2"], Options: ["ndots:1"] },
      Healthcheck: { Test: ["CMD", "/bin/busybox", "true"], Interval: 5e9 },
      CapabilityDrop: ["CAP_NET_RAW"],
      ReadOnly: true,
      Init: true,
      Labels: { inner: "b" },
      Mounts: [
        { Type: "bind", Source: stage().folder, Target: "/folder", ReadOnly: true },
        { Type: "volume", Source: "kept-data", Target: "/data", VolumeOptions: { Labels: { v: "1" } } },
        { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 1_048_576 } },
      ],
    };
    const task = {
      Resources: { Limits: { MemoryBytes: 64e6, Pids: 9 }, Reservations: { MemoryBytes: 8e6 } },
      RestartPolicy: { Condition: "on-failure", Delay: 3e9, MaxAttempts: 4, Window: 5e9 },
      Placement: {
        Constraints: [`node.id == ${node}`],
        Preferences: [{ Spread: { SpreadDescriptor: "node.labels.zone" } }],
      },
      LogDriver: { Name: "json-file", Options: { "max-size": "1m" } },
    };
    const before = await foreign("rich", rich, task);
    await succeed("docker_update_service", { service_id: "rich", memory: "96m", environment: { B: "2" } });
    const { Spec } = await service("rich");
    const wanted = structuredClone(before.Spec);
    const { ContainerSpec, Resources } = wanted.TaskTemplate;
    Object.assign(ContainerSpec ?? {}, { Env: [...rich.Env, "B=2"] });
    Object.assign(Resources?.Limits ?? {}, { MemoryBytes: 96 * 1024 ** 2 });
    expect(Spec).toEqual(wanted);
  });

  test("what a change would hand on is judged, too", async () => {
    const socket = { Mounts: [{ Type: "bind", Source: "/var/run/docker.sock", Target: "/s" }] };
    const unbound = { Mounts: [{ Type: "bind", Source: stage().folder, Target: "/x", ReadOnly: true }] };
    const device = { Type: "volume", Source: "window", Target: "/x" };
    const window = { Name: "local", Options: { type: "none", o: "bind", device: "/etc" } };
    const template = { Type: "volume", Source: "{{.Node.ID}}", Target: "/x" };
    const rows: [string, Record<string, unknown>][] = [
      ["socket", socket],
      ["unbound", unbound],
      ["window", { Mounts: [{ ...device, VolumeOptions: { DriverConfig: window } }] }],
      ["template", { Mounts: [template] }],
      ["capable", { CapabilityAdd: ["CAP_SYS_ADMIN"] }],
      ["tuned", { Sysctls: { "net.ipv4.ip_forward": "1" } }],
      ["selinux", { Privileges: { SELinuxContext: { Disable: true } } }],
      ["grouped", { Groups: ["0"] }],
    ];
    for (const [name, container] of rows) {
      const before = await foreign(name, container);
      for (const change of [{ image: stage().image }, { command: ["id"] }, { force: true }, { memory: "8m" }]) {
        const { structured, text } = await stage().session.call("docker_update_service", {
          service_id: name,
          ...change,
        });
        expect([name, change, text, structured.kind]).toEqual([name, change, text, "forbidden"]);
      }
      expect((await service(name)).Spec).toEqual(before.Spec);
      await succeed("docker_scale_service", { service_id: name, replicas: 0 });
    }
    // In the place of what is not handed on.
    await succeed("docker_update_service", { service_id: "socket", volumes: ["data:/s"] });
    const back = await stage().session.call("docker_update_service", { service_id: "socket", rollback: true });
    expect(back.structured.kind).toBe("forbidden");
    await using trusting = await stage().open({ SAFETY_ALLOW_PRIVILEGED_CONTAINERS: "true" });
    for (const [name, kind] of [
      ["capable", undefined],
      ["window", "forbidden"],
    ] as const) {
      const { structured, text } = await trusting.call("docker_update_service", { service_id: name, memory: "8m" });
      expect([name, text, structured.kind]).toEqual([name, text, kind]);
    }
  }, 60_000);
}
