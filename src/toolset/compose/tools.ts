/** The tools about compose projects. */
import type { Tool } from "../tool.ts";
import { composeDownTool } from "./down.ts";
import { composeExecTool, composeRestartTool, composeStopTool } from "./life.ts";
import { composeConfigTool, composeLogsTool, composePsTool, composeValidateTool } from "./look.ts";
import { composeBuildTool, composeScaleTool, composeUpTool } from "./up.ts";
import { composeWriteFileTool } from "./write.ts";

export const COMPOSE_TOOLS: readonly Tool[] = [
  composeUpTool,
  composeDownTool,
  composeRestartTool,
  composeStopTool,
  composeScaleTool,
  composePsTool,
  composeLogsTool,
  composeExecTool,
  composeValidateTool,
  composeConfigTool,
  composeBuildTool,
  composeWriteFileTool,
];
