/**
 * What is shown of every tool on a real engine, and where. Four things: it does it (in the test file that `does` names, whose last
 * test asks for it), what it says of what is not there, what input it refuses (both run from this table), and that it is refused
 * by level (made from the literal). test/toolset/catalogue.unit.test.ts knows of a tool that has no row.
 */
import { expect } from "bun:test";
import type { ToolsetClient } from "./toolset-client.ts";
import { workedSoFar } from "./toolset-client.ts";

export type Arguments = Record<string, unknown>;

export interface Proof {
  /** In test/toolset. */
  does: string;
  /** Lawful arguments about what does not exist; or why there is nothing that could be absent. */
  absent: Arguments | string;
  /** Arguments of which nothing may be done: `invalid`, or `forbidden`. */
  refused: Arguments;
}

const NONE = "linkspan-test-nothing-at-all";
const container = { container_id: NONE };
const network = { network_id: NONE };
const volume = { volume_name: NONE };
const image = { image: `${NONE}:1` };
const service = { service_id: NONE };
const project = { project_name: NONE };
const file = { file: `${NONE}/compose.yaml` };
const LIST = "a list of nothing is empty";
const ENGINE = "it is about the engine as a whole";
const PRUNE = "where nothing is to be removed, nothing is";
const INVALID = { content: "services: [" };
const PRIVILEGED = { content: "name: evil\nservices: { a: { image: x, privileged: true } }" };

const containers: Record<string, Proof> = {
  docker_list_containers: { does: "containers", absent: LIST, refused: { limit: 0 } },
  docker_inspect_container: { does: "containers", absent: container, refused: { container_id: "../info" } },
  docker_container_logs: { does: "containers", absent: container, refused: { ...container, tail: -1 } },
  docker_container_stats: { does: "containers", absent: container, refused: { ...container, samples: 0 } },
  docker_container_top: { does: "containers", absent: container, refused: { ...container, ps_args: "-eo pid" } },
  docker_container_diff: { does: "containers", absent: container, refused: { container_id: "" } },
  docker_wait_container: { does: "containers", absent: container, refused: { ...container, condition: "gone" } },
  docker_create_container: { does: "containers", absent: image, refused: { ...image, privileged: true } },
  docker_run_container: { does: "containers", absent: image, refused: { ...image, network: "host" } },
  docker_start_container: { does: "containers", absent: container, refused: { container_id: "a/b" } },
  docker_stop_container: { does: "containers", absent: container, refused: { ...container, timeout: -1 } },
  docker_restart_container: { does: "containers", absent: container, refused: { ...container, timeout: "soon" } },
  docker_pause_container: { does: "containers", absent: container, refused: { container_id: "--all" } },
  docker_unpause_container: { does: "containers", absent: container, refused: {} },
  docker_rename_container: {
    does: "containers",
    absent: { ...container, new_name: "x1" },
    refused: { ...container, new_name: "-x" },
  },
  docker_update_container: {
    does: "containers",
    absent: { ...container, cpus: 1 },
    refused: { ...container, memory: "much" },
  },
  docker_exec_command: {
    does: "containers",
    absent: { ...container, command: "true" },
    refused: { ...container, command: "true", privileged: true },
  },
  docker_copy_to_container: {
    does: "containers",
    absent: { ...container, path: "/", files: [{ path: "a", content: "" }] },
    refused: { ...container, path: "/", files: [{ path: "../a", content: "" }] },
  },
  docker_copy_from_container: {
    does: "containers",
    absent: { ...container, path: "/" },
    refused: { ...container, path: "etc" },
  },
  docker_kill_container: { does: "undo", absent: container, refused: { ...container, signal: "EVIL;" } },
  docker_remove_container: { does: "undo", absent: container, refused: { ...container, force: "yes" } },
  docker_prune_containers: { does: "undo", absent: PRUNE, refused: { filters: { name: "x" } } },
};

const images: Record<string, Proof> = {
  docker_list_images: { does: "images", absent: LIST, refused: { cursor: "x" } },
  docker_inspect_image: { does: "images", absent: { image_name: `${NONE}:1` }, refused: { image_name: "a b" } },
  docker_image_history: { does: "images", absent: image, refused: { image: "../x" } },
  docker_pull_image: {
    does: "registry",
    absent: { image: "127.0.0.1:1/nothing:1" },
    refused: { ...image, platform: "linux/$(id)" },
  },
  docker_build_image: {
    does: "images",
    absent: "a folder that is not allowed is not said to be absent; the base image is the build's own to miss",
    refused: { path: "/etc" },
  },
  docker_push_image: { does: "images", absent: image, refused: { ...image, tag: "-x" } },
  docker_tag_image: { does: "images", absent: { ...image, repository: "x" }, refused: { ...image, repository: "X Y" } },
  docker_save_image: {
    does: "images",
    absent: { ...image, file: "x.tar" },
    refused: { ...image, file: "../../x.tar" },
  },
  docker_load_image: { does: "images", absent: { file: `${NONE}.tar` }, refused: { file: "/etc/shadow" } },
  docker_remove_image: { does: "undo", absent: image, refused: { ...image, force: 1 } },
  docker_prune_images: { does: "undo", absent: PRUNE, refused: { filters: { until: "whenever" } } },
};

const networks: Record<string, Proof> = {
  docker_list_networks: { does: "networks-volumes", absent: LIST, refused: { limit: 1e6 } },
  docker_inspect_network: { does: "networks-volumes", absent: network, refused: { network_id: "a/../b" } },
  docker_create_network: {
    does: "networks-volumes",
    absent: "it refers to nothing",
    refused: { name: NONE, driver: "macvlan" },
  },
  docker_connect_container: {
    does: "networks-volumes",
    absent: { ...network, ...container },
    refused: { ...network, ...container, ipv4_address: "10.0.0" },
  },
  docker_disconnect_container: {
    does: "networks-volumes",
    absent: { ...network, ...container },
    refused: { ...network, container_id: "?" },
  },
  docker_remove_network: { does: "undo", absent: network, refused: { ...network, force: true } },
  docker_prune_networks: { does: "undo", absent: PRUNE, refused: { filters: { type: "custom" } } },
};

const volumes: Record<string, Proof> = {
  docker_list_volumes: { does: "networks-volumes", absent: LIST, refused: { filters: "label" } },
  docker_inspect_volume: { does: "networks-volumes", absent: volume, refused: { volume_name: "../x" } },
  docker_create_volume: {
    does: "networks-volumes",
    absent: "it refers to nothing",
    refused: { name: NONE, driver_opts: { type: "none", o: "bind", device: "/etc" } },
  },
  docker_backup_volume: {
    does: "undo",
    absent: { ...volume, file: "x.tar.gz" },
    refused: { ...volume, file: "../x.tar.gz" },
  },
  docker_restore_volume: {
    does: "undo",
    absent: { ...volume, file: `${NONE}.tar.gz` },
    refused: { ...volume, file: "../x.tar.gz" },
  },
  docker_remove_volume: { does: "undo", absent: volume, refused: { volume_name: "/etc" } },
  docker_prune_volumes: { does: "undo", absent: PRUNE, refused: { all: "yes" } },
};

const system: Record<string, Proof> = {
  docker_system_info: { does: "system", absent: ENGINE, refused: { verbose: true } },
  docker_system_df: { does: "system", absent: ENGINE, refused: { verbose: true } },
  docker_version: { does: "system", absent: ENGINE, refused: { format: "json" } },
  docker_events: { does: "system", absent: ENGINE, refused: { wait_seconds: 1e6 } },
  docker_healthcheck: { does: "system", absent: ENGINE, refused: { deep: true } },
  docker_diagnose: { does: "system", absent: container, refused: { container_id: "a b" } },
  docker_system_prune: { does: "undo", absent: PRUNE, refused: { filters: { name: "x" } } },
};

const swarm: Record<string, Proof> = {
  docker_list_services: { does: "swarm", absent: LIST, refused: { limit: 0 } },
  docker_inspect_service: { does: "swarm", absent: service, refused: { service_id: "../nodes" } },
  docker_list_nodes: { does: "swarm", absent: LIST, refused: { limit: 0 } },
  docker_service_logs: { does: "swarm", absent: service, refused: { ...service, tail: 0 } },
  docker_create_service: {
    does: "swarm",
    absent: { ...image, networks: [NONE] },
    refused: { ...image, volumes: ["/:/host"] },
  },
  docker_scale_service: {
    does: "swarm",
    absent: { ...service, replicas: 2 },
    refused: { ...service, replicas: 1e9 },
  },
  docker_update_service: { does: "swarm", absent: { ...service, image: "none:2" }, refused: service },
  docker_remove_service: { does: "swarm", absent: service, refused: { ...service, force: true } },
};

const registry: Record<string, Proof> = {
  docker_login_registry: { does: "registry", absent: { login: "absent" }, refused: { username: "x" } },
  docker_search_images: { does: "registry", absent: LIST, refused: { term: "x" } },
};

const compose: Record<string, Proof> = {
  docker_compose_up: { does: "compose", absent: file, refused: PRIVILEGED },
  docker_compose_down: { does: "compose", absent: project, refused: { project_name: "A b" } },
  docker_compose_restart: { does: "compose", absent: project, refused: {} },
  docker_compose_stop: { does: "compose", absent: project, refused: { ...project, timeout: -1 } },
  docker_compose_scale: {
    does: "compose",
    absent: { ...file, scale: { a: 1 } },
    refused: { ...file, scale: { a: -1 } },
  },
  docker_compose_ps: { does: "compose", absent: LIST, refused: { file: "../compose.yaml" } },
  docker_compose_logs: { does: "compose", absent: project, refused: { ...project, tail: 0 } },
  docker_compose_exec: {
    does: "compose",
    absent: { ...project, service: "a", command: "true" },
    refused: { ...project, service: "a", command: [] },
  },
  docker_compose_validate: { does: "compose", absent: file, refused: { ...file, ...INVALID } },
  docker_compose_config: { does: "compose", absent: file, refused: INVALID },
  docker_compose_build: { does: "compose", absent: file, refused: PRIVILEGED },
  docker_compose_write_file: {
    does: "compose",
    absent: "it makes what is not there",
    refused: { file: "/etc/compose.yaml", ...INVALID },
  },
};

const undo: Record<string, Proof> = {
  docker_undo: { does: "undo", absent: { id: NONE }, refused: { id: "x".repeat(65) } },
};

const server = { serverId: NONE };
const saved = { name: NONE };
/** Of the tools in src/toolset/created: they need a manager. */
export const CREATE_PROOFS: Record<string, Proof> = {
  "create-server-from-template": { does: "created", absent: "it refers to nothing", refused: { language: "perl" } },
  "update-server": { does: "created", absent: { ...server, code: "1" }, refused: server },
  "execute-tool": { does: "created", absent: { ...server, toolName: "x" }, refused: { ...server, toolName: 1 } },
  "get-server-tools": { does: "created", absent: server, refused: { ...server, limit: 0 } },
  "list-servers": { does: "created", absent: LIST, refused: { limit: 0 } },
  "delete-server": { does: "created", absent: server, refused: { serverId: 1 } },
  "save-server": { does: "created", absent: { ...server, name: "x" }, refused: { ...server, name: "../x" } },
  "list-saved-servers": { does: "created", absent: LIST, refused: { cursor: 1 } },
  "load-saved-server": { does: "created", absent: saved, refused: { name: "../x" } },
  "delete-saved-server": { does: "created", absent: saved, refused: { name: "a/b" } },
};

export const SWARM_PROOFS = swarm;
/** Of the tools that any engine has. */
export const ENGINE_PROOFS: Record<string, Proof> = {
  ...containers,
  ...images,
  ...networks,
  ...volumes,
  ...system,
  ...registry,
  ...compose,
  ...undo,
};
export const PROOFS: Record<string, Proof> = { ...ENGINE_PROOFS, ...SWARM_PROOFS, ...CREATE_PROOFS };

/** With a client that may do everything: what is not there is said with what to do next, what is refused is refused. */
export async function refusals(session: ToolsetClient, proofs: Record<string, Proof>): Promise<void> {
  const wrong: unknown[] = [];
  for (const [tool, { absent, refused }] of Object.entries(proofs)) {
    if (typeof absent !== "string") {
      const { isError, structured, text } = await session.call(tool, absent);
      const { kind, hint } = structured;
      const told = isError && kind === (KINDS_OF_ABSENCE[tool] ?? "not-found") && typeof hint === "string";
      if (!told) wrong.push([tool, absent, kind, hint, text]);
    }
    const { isError, structured, text } = await session.call(tool, refused);
    const told = typeof structured.hint === "string" || /expected|missing|neither|no such/i.test(text);
    if (!isError || !told || !["invalid", "forbidden"].includes(String(structured.kind)))
      wrong.push([tool, refused, structured.kind, text]);
  }
  expect(wrong).toEqual([]);
}

/** Which image a registry lacks is its to say; one that is not there at all is not reached. */
const KINDS_OF_ABSENCE: Record<string, string> = { docker_pull_image: "unreachable" };

/** The last test of a file: every tool that is said to be shown there has done its work in it. */
export function expectWorked(path: string): void {
  const own = path.replace(/^.*\/|\.test\.ts$/g, "");
  const named = Object.entries(PROOFS).flatMap(([tool, { does }]) => (does === own ? [tool] : []));
  expect(named.filter((tool) => !workedSoFar.has(tool))).toEqual([]);
}
