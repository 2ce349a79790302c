/** The tools about containers. */
import type { Tool } from "../tool.ts";
import { listContainersTool } from "./list.ts";

export const CONTAINER_TOOLS: readonly Tool[] = [listContainersTool];
