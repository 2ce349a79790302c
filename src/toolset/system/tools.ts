/** The tools about the engine as a whole. */
import type { Tool } from "../tool.ts";
import { versionTool } from "./version.ts";

export const SYSTEM_TOOLS: readonly Tool[] = [versionTool];
