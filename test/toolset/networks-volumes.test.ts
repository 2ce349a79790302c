/** The tools about networks and volumes on a real engine. */
import { afterAll, expect } from "bun:test";
import { Deadline } from "../../src/base/deadline.ts";
import { removeContainer } from "../../src/docker/containers.ts";
import { inspectNetwork, removeNetwork } from "../../src/docker/networks.ts";
import { removeVolume } from "../../src/docker/volumes.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { expectWorked } from "../support/proofs.ts";
import { busyboxImage } from "../support/images.ts";
import { toolsetClient } from "../support/toolset-client.ts";

const prefix = `linkspan-test-nets-${process.pid}`;
const name = (suffix: string) => `${prefix}-${suffix}`;
/** One of its own: several runs may share an engine. */
const net = `10.${231 + (process.pid % 8)}.${Math.floor(process.pid / 8) % 256}`;

afterAll(async () => {
  if (!ENGINE) return;
  const deadline = Deadline.in(30_000);
  await removeContainer(ENGINE, name("web"), deadline);
  await removeNetwork(ENGINE, name("net"), deadline);
  for (const volume of ["data", "memory"]) await removeVolume(ENGINE, name(volume), deadline);
});

engineTest("a network: made, joined under an alias, left", async () => {
  await using session = await toolsetClient();
  const network_id = name("net");
  const made = await session.call("docker_create_network", {
    name: network_id,
    internal: true,
    labels: { "linkspan.test": prefix },
    ipam: `{"Config": [{"Subnet": "${net}.0/24"}]}`,
    options: { "com.docker.network.bridge.enable_icc": "false" },
  });
  expect(made.structured).toMatchObject({ name: network_id, internal: true, subnets: [`${net}.0/24`] });
  const listed = await session.call("docker_list_networks", { filters: { label: `linkspan.test=${prefix}` } });
  expect(listed.structured).toMatchObject({ total: 1, networks: [{ name: network_id }] });

  if (!ENGINE) throw new Error("no engine");
  const container_id = name("web");
  await session.call("docker_run_container", {
    image: await busyboxImage(ENGINE),
    name: container_id,
    entrypoint: ["/bin/busybox"],
    command: ["sleep", "600"],
  });
  const joined = await session.call("docker_connect_container", {
    network_id,
    container_id,
    aliases: ["www"],
    ipv4_address: `${net}.9`,
  });
  expect(joined.structured).toMatchObject({ network: network_id, container: container_id });
  const inspected = await session.call("docker_inspect_network", { network_id });
  expect(JSON.stringify(inspected.structured.network)).toContain(`${net}.9/24`);
  const left = await session.call("docker_disconnect_container", { network_id, container_id });
  expect(left.isError).toBeUndefined();
  const after = await inspectNetwork(ENGINE, network_id, Deadline.in(10_000));
  expect(after?.Containers).toEqual({});
});

engineTest("a volume: made, looked at, in use", async () => {
  await using session = await toolsetClient();
  const volume_name = name("data");
  const made = await session.call("docker_create_volume", { name: volume_name, labels: { app: prefix } });
  expect(made.structured).toMatchObject({ name: volume_name, driver: "local", labels: { app: prefix } });
  const twice = await session.call("docker_create_volume", { name: volume_name });
  expect(twice.structured.kind).toBe("conflict");
  const memory = await session.call("docker_create_volume", {
    name: name("memory"),
    driver_opts: { type: "tmpfs", o: "size=1m" },
  });
  expect(memory.isError).toBeUndefined();
  if (!ENGINE) throw new Error("no engine");
  await session.call("docker_create_container", {
    image: await busyboxImage(ENGINE),
    name: name("user"),
    volumes: { [volume_name]: "/data" },
  });
  try {
    const listed = await session.call("docker_list_volumes", { filters: { label: `app=${prefix}` } });
    expect(listed.structured).toMatchObject({ total: 1, volumes: [{ used_by: [name("user")] }] });
    const inspected = await session.call("docker_inspect_volume", { volume_name });
    expect(inspected.structured.used_by).toEqual([{ container: name("user"), running: false, read_only: true }]);
  } finally {
    await removeContainer(ENGINE, name("user"), Deadline.in(10_000));
  }
});

engineTest("what does not exist, and what is refused", async () => {
  await using session = await toolsetClient();
  const absent = name("none");
  const calls: [string, Record<string, unknown>, string][] = [
    ["docker_inspect_network", { network_id: absent }, "not-found"],
    ["docker_connect_container", { network_id: absent, container_id: "x" }, "not-found"],
    ["docker_disconnect_container", { network_id: absent, container_id: "x" }, "not-found"],
    ["docker_inspect_volume", { volume_name: absent }, "not-found"],
    ["docker_create_network", { name: absent, driver: "macvlan" }, "forbidden"],
    ["docker_create_network", { name: absent, driver: "host" }, "invalid"],
    ["docker_create_network", { name: absent, options: { "com.docker.network.bridge.name": "eth0" } }, "forbidden"],
    ["docker_create_network", { name: absent, options: { parent: "eth0" } }, "forbidden"],
    ["docker_create_network", { name: "-x" }, "invalid"],
    ["docker_connect_container", { network_id: "host", container_id: "x" }, "not-found"],
    ["docker_create_volume", { name: absent, driver_opts: { type: "none", o: "bind", device: "/etc" } }, "invalid"],
    ["docker_create_volume", { name: absent, driver_opts: { type: "tmpfs", device: "/dev/sda" } }, "invalid"],
    ["docker_create_volume", { name: absent, driver_opts: { type: "tmpfs", o: "size=1m,bind" } }, "invalid"],
    ["docker_create_volume", { name: absent, driver: "sshfs" }, "invalid"],
    ["docker_create_volume", { name: "../x" }, "invalid"],
  ];
  for (const [tool, args, kind] of calls) {
    const { isError, structured } = await session.call(tool, args);
    expect([tool, args, isError, structured.kind]).toEqual([tool, args, true, kind]);
  }
});

engineTest("the tools that are shown here have worked", async () => expectWorked(import.meta.path));
