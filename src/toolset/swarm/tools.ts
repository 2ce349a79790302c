/** The tools about swarms. */
import { REMOVING_TOOLS } from "../removal/single.ts";
import type { Tool } from "../tool.ts";
import { createServiceTool, scaleServiceTool, updateServiceTool } from "./change.ts";
import { serviceLogsTool } from "./logs.ts";
import { inspectServiceTool, listNodesTool, listServicesTool } from "./look.ts";

export const SWARM_TOOLS: readonly Tool[] = [
  listServicesTool,
  inspectServiceTool,
  listNodesTool,
  serviceLogsTool,
  createServiceTool,
  scaleServiceTool,
  updateServiceTool,
  REMOVING_TOOLS.service,
];
