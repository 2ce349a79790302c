/** The tools about images and registries. */
import { PRUNING_TOOLS } from "../removal/prune.ts";
import { REMOVING_TOOLS } from "../removal/single.ts";
import type { Tool } from "../tool.ts";
import { loadImageTool, saveImageTool } from "./archives.ts";
import { buildImageTool } from "./build.ts";
import { imageHistoryTool, inspectImageTool, listImagesTool } from "./look.ts";
import { pullImageTool, pushImageTool, searchImagesTool, tagImageTool } from "./transfer.ts";

export const IMAGE_TOOLS: readonly Tool[] = [
  listImagesTool,
  inspectImageTool,
  imageHistoryTool,
  pullImageTool,
  buildImageTool,
  pushImageTool,
  tagImageTool,
  saveImageTool,
  loadImageTool,
  searchImagesTool,
  REMOVING_TOOLS.image,
  PRUNING_TOOLS.images,
];
