/** The tools about networks. */
import { PRUNING_TOOLS } from "../removal/prune.ts";
import { REMOVING_TOOLS } from "../removal/single.ts";
import type { Tool } from "../tool.ts";
import { connectContainerTool, createNetworkTool, disconnectContainerTool } from "./change.ts";
import { inspectNetworkTool, listNetworksTool } from "./look.ts";

export const NETWORK_TOOLS: readonly Tool[] = [
  listNetworksTool,
  inspectNetworkTool,
  createNetworkTool,
  connectContainerTool,
  disconnectContainerTool,
  REMOVING_TOOLS.network,
  PRUNING_TOOLS.networks,
];
