/** The tools about networks. */
import type { Tool } from "../tool.ts";
import { connectContainerTool, createNetworkTool, disconnectContainerTool } from "./change.ts";
import { inspectNetworkTool, listNetworksTool } from "./look.ts";

export const NETWORK_TOOLS: readonly Tool[] = [
  listNetworksTool,
  inspectNetworkTool,
  createNetworkTool,
  connectContainerTool,
  disconnectContainerTool,
];
