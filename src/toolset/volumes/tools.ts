/** The tools about volumes. */
import type { Tool } from "../tool.ts";
import { createVolumeTool, inspectVolumeTool, listVolumesTool } from "./look.ts";

export const VOLUME_TOOLS: readonly Tool[] = [listVolumesTool, inspectVolumeTool, createVolumeTool];
