/** The tools about registries, beside the search that is with the images. */
import type { Tool } from "../tool.ts";
import { loginRegistryTool } from "./login.ts";

export const REGISTRY_TOOLS: readonly Tool[] = [loginRegistryTool];
