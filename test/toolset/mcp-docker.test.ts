/**
 * A client that was configured for the Python mcp-docker: each of its 36 tools by its name, with all of its arguments in
 * the forms that its input models take, on a real engine.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { removeContainer } from "../../src/docker/containers.ts";
import { ENGINE, engineTest } from "../support/engine.ts";
import { busyboxImage } from "../support/images.ts";
import { toolsetClient } from "../support/toolset-client.ts";

const name = `linkspan-test-python-${process.pid}`;
const label = `linkspan.test.python=${process.pid}`;
const [key = "", value = ""] = label.split("=");
let image = "";
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "linkspan-test-python-"));
  await writeFile(join(folder, "Dockerfile.other"), `FROM scratch\nARG A\nLABEL ${label}\nCOPY hello /hello\n`);
  await writeFile(join(folder, "hello"), "hello\n");
  if (ENGINE) image = await busyboxImage(ENGINE, ["ENTRYPOINT []"]);
}, 60_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  if (ENGINE) await removeContainer(ENGINE, name, Deadline.in(20_000));
});

/** In an order in which each finds what it needs. A third place: the kinds of errors that are an answer of its own. */
const calls = (): [tool: string, args: Record<string, unknown>, errors?: string[]][] => [
  ["docker_version", {}],
  ["docker_system_info", {}],
  ["docker_healthcheck", {}],
  ["docker_system_df", {}],
  ["docker_events", { since: "2026-01-01T00:00:00", until: "1", filters: { type: "container" }, decode: true }],
  ["docker_create_volume", { name, driver: "local", driver_opts: {}, labels: { [key]: value } }],
  ["docker_list_volumes", { filters: { label } }],
  ["docker_inspect_volume", { volume_name: name }],
  [
    "docker_create_network",
    {
      name,
      driver: "bridge",
      options: {},
      ipam: null,
      internal: true,
      labels: JSON.stringify({ [key]: value }),
      enable_ipv6: false,
      attachable: true,
    },
  ],
  ["docker_list_networks", { filters: { label: [label] } }],
  ["docker_inspect_network", { network_id: name }],
  [
    "docker_create_container",
    {
      image,
      name,
      command: ["/bin/sh", "-c", "echo hello; while true; do /bin/busybox sleep 1; done"],
      environment: '{"A": "1;halt"}',
      ports: { "8080/tcp": null },
      volumes: { [name]: { bind: "/data", mode: "rw" } },
      detach: true,
      remove: false,
      mem_limit: "64m",
      cpu_shares: 512,
    },
  ],
  ["docker_start_container", { container_id: name }],
  ["docker_restart_container", { container_id: name, timeout: 1 }],
  ["docker_list_containers", { all: true, filters: { name: [name] } }],
  ["docker_inspect_container", { container_id: name }],
  ["docker_container_stats", { container_id: name, stream: false }],
  [
    "docker_container_logs",
    { container_id: name, tail: 10, since: null, until: null, timestamps: true, follow: false },
  ],
  [
    "docker_exec_command",
    {
      container_id: name,
      command: "/bin/busybox echo hi",
      workdir: "/",
      user: "0",
      environment: { B: "2" },
      privileged: false,
    },
  ],
  [
    "docker_connect_container",
    { network_id: name, container_id: name, aliases: ["web"], ipv4_address: null, ipv6_address: null, links: null },
  ],
  ["docker_disconnect_container", { network_id: name, container_id: name, force: true }],
  ["docker_stop_container", { container_id: name, timeout: 1 }],
  ["docker_remove_container", { container_id: name, force: true, volumes: true }],
  ["docker_remove_network", { network_id: name }],
  ["docker_remove_volume", { volume_name: name, force: false }],
  ["docker_prune_volumes", { filters: { label }, force_all: false }],
  ["docker_list_images", { all: false, filters: { reference: "linkspan-test" } }],
  ["docker_inspect_image", { image_name: image }],
  ["docker_image_history", { image }],
  [
    "docker_build_image",
    {
      path: folder,
      tag: `${name}:built`,
      dockerfile: "Dockerfile.other",
      buildargs: { A: "1" },
      nocache: true,
      rm: true,
      pull: false,
    },
  ],
  ["docker_tag_image", { image: `${name}:built`, repository: `localhost:1/${name}`, tag: "latest" }],
  // There is no registry at this address.
  ["docker_push_image", { image: `localhost:1/${name}`, tag: "latest" }, ["unreachable", "engine-failed", "not-found"]],
  [
    "docker_pull_image",
    { image: `localhost:1/${name}`, tag: "none", all_tags: false, platform: null },
    ["unreachable", "engine-failed", "not-found"],
  ],
  ["docker_remove_image", { image: `localhost:1/${name}:latest`, force: false, noprune: false }],
  ["docker_remove_image", { image: `${name}:built`, force: true, noprune: false }],
  ["docker_prune_images", { all: false, filters: { label }, force_all: false }],
  ["docker_system_prune", { filters: { label: [label] }, volumes: false }],
];

engineTest("every tool of mcp-docker works under its name, with its arguments", async () => {
  const env = {
    SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true",
    SAFETY_REQUIRE_CONFIRMATION_FOR_DESTRUCTIVE: "false",
    SAFETY_VOLUME_MOUNT_ALLOWLIST: JSON.stringify([folder]),
    MCP_SERVER_NAME: "mcp-docker",
    MCP_LOG_LEVEL: "WARNING",
    DOCKER_TIMEOUT: "30",
  };
  await using session = await toolsetClient({ env });
  const made = calls();
  expect(new Set(made.map(([tool]) => tool)).size).toBe(36);
  const wrong: unknown[] = [];
  for (const [tool, args, errors = []] of made) {
    const { isError, text, structured } = await session.call(tool, args);
    const right = isError ? errors.includes(String(structured["kind"])) : errors.length === 0;
    if (!right) wrong.push({ tool, isError, text, structured });
  }
  expect(wrong).toEqual([]);
});
