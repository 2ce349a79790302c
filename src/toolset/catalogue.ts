/** Every tool. A new one: its literal, one line in its category's list. */
import { COMPOSE_TOOLS } from "./compose/tools.ts";
import { CONTAINER_TOOLS } from "./containers/tools.ts";
import { CREATE_TOOLS } from "./created/tools.ts";
import { IMAGE_TOOLS } from "./images/tools.ts";
import { NETWORK_TOOLS } from "./networks/tools.ts";
import { REGISTRY_TOOLS } from "./registry/tools.ts";
import { SERVER_TOOLS } from "./servers/tools.ts";
import { SWARM_TOOLS } from "./swarm/tools.ts";
import { SYSTEM_TOOLS } from "./system/tools.ts";
import { UNDO_TOOLS } from "./undo/tools.ts";
import { VOLUME_TOOLS } from "./volumes/tools.ts";
import type { Tool } from "./tool.ts";

export const DOCKER_TOOLS: readonly Tool[] = [
  ...CONTAINER_TOOLS,
  ...IMAGE_TOOLS,
  ...NETWORK_TOOLS,
  ...VOLUME_TOOLS,
  ...SYSTEM_TOOLS,
  ...SWARM_TOOLS,
  ...REGISTRY_TOOLS,
  ...COMPOSE_TOOLS,
  ...UNDO_TOOLS,
];

/** What `--toolset` takes, beside `compact`. */
const TOOLSETS = new Map([
  ["docker", DOCKER_TOOLS],
  ["servers", SERVER_TOOLS],
  ["create", [...CREATE_TOOLS, ...UNDO_TOOLS]],
]);

export const ALL_TOOLS: readonly Tool[] = [...new Set([...TOOLSETS.values()].flat())];

/** Those of the toolsets that are named; all of Docker where none is. */
export function toolsOf(names: readonly string[]): Tool[] {
  const found = new Set(names.flatMap((name) => TOOLSETS.get(name) ?? []));
  return found.size > 0 ? [...found] : [...DOCKER_TOOLS];
}
