/** The tools about volumes. */
import { PRUNING_TOOLS } from "../removal/prune.ts";
import { REMOVING_TOOLS } from "../removal/single.ts";
import type { Tool } from "../tool.ts";
import { backupVolumeTool, restoreVolumeTool } from "./backups.ts";
import { createVolumeTool, inspectVolumeTool, listVolumesTool } from "./look.ts";

export const VOLUME_TOOLS: readonly Tool[] = [
  listVolumesTool,
  inspectVolumeTool,
  createVolumeTool,
  backupVolumeTool,
  restoreVolumeTool,
  REMOVING_TOOLS.volume,
  PRUNING_TOOLS.volumes,
];
