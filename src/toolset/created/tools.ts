/** The tools about servers that are created here. */
import type { Tool } from "../tool.ts";
import {
  createServerTool,
  deleteServerTool,
  executeToolTool,
  listServersTool,
  serverToolsTool,
  updateServerTool,
} from "./live.ts";
import { deleteSavedServerTool, listSavedServersTool, loadSavedServerTool, saveServerTool } from "./saved.ts";

export const CREATE_TOOLS: readonly Tool[] = [
  createServerTool,
  updateServerTool,
  executeToolTool,
  serverToolsTool,
  listServersTool,
  deleteServerTool,
  saveServerTool,
  listSavedServersTool,
  loadSavedServerTool,
  deleteSavedServerTool,
];
