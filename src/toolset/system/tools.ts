/** The tools about the engine as a whole. */
import { PRUNING_TOOLS } from "../removal/prune.ts";
import type { Tool } from "../tool.ts";
import { diagnoseTool } from "./diagnose.ts";
import { eventsTool, healthcheckTool, systemDfTool, systemInfoTool } from "./look.ts";
import { versionTool } from "./version.ts";

export const SYSTEM_TOOLS: readonly Tool[] = [
  systemInfoTool,
  systemDfTool,
  versionTool,
  eventsTool,
  healthcheckTool,
  diagnoseTool,
  PRUNING_TOOLS.system,
];
