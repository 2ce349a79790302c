/** The tools about MCP servers that Linkspan runs. */
import type { Tool } from "../tool.ts";
import { removeServerTool, restartServerTool, runServerTool, startServerTool, stopServerTool } from "./life.ts";
import { inspectServerTool, listServersTool, serverHealthTool, serverLogsTool, serverStatsTool } from "./look.ts";
import {
  callServerToolTool,
  cleanupTool,
  listServerToolsTool,
  listSessionsTool,
  serverEventsTool,
  serverStatusTool,
} from "./use.ts";

export const SERVER_TOOLS: readonly Tool[] = [
  listServersTool,
  inspectServerTool,
  serverHealthTool,
  serverLogsTool,
  serverStatsTool,
  serverEventsTool,
  serverStatusTool,
  listSessionsTool,
  listServerToolsTool,
  callServerToolTool,
  runServerTool,
  startServerTool,
  stopServerTool,
  restartServerTool,
  removeServerTool,
  cleanupTool,
];
