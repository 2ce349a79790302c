/** The tools about containers. */
import { PRUNING_TOOLS } from "../removal/prune.ts";
import { REMOVING_TOOLS } from "../removal/single.ts";
import type { Tool } from "../tool.ts";
import { copyFromContainerTool, copyToContainerTool } from "./copy.ts";
import { createContainerTool, runContainerTool, updateContainerTool } from "./create.ts";
import { execCommandTool } from "./exec.ts";
import { containerDiffTool, containerTopTool, inspectContainerTool } from "./inspect.ts";
import {
  killContainerTool,
  pauseContainerTool,
  renameContainerTool,
  restartContainerTool,
  startContainerTool,
  stopContainerTool,
  unpauseContainerTool,
} from "./life.ts";
import { listContainersTool } from "./list.ts";
import { containerLogsTool } from "./logs.ts";
import { containerStatsTool } from "./stats.ts";
import { waitContainerTool } from "./wait.ts";

export const CONTAINER_TOOLS: readonly Tool[] = [
  listContainersTool,
  inspectContainerTool,
  containerLogsTool,
  containerStatsTool,
  containerTopTool,
  containerDiffTool,
  waitContainerTool,
  createContainerTool,
  runContainerTool,
  startContainerTool,
  stopContainerTool,
  restartContainerTool,
  pauseContainerTool,
  unpauseContainerTool,
  renameContainerTool,
  updateContainerTool,
  execCommandTool,
  copyToContainerTool,
  copyFromContainerTool,
  killContainerTool,
  REMOVING_TOOLS.container,
  PRUNING_TOOLS.containers,
];
