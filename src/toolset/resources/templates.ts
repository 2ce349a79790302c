/** Every resource template. A new one: its literal, one line here. */
import { composeConfig, composeLogs, composeServices } from "./compose.ts";
import { containerLogs, containerUse } from "./containers.ts";
import type { ResourceTemplate } from "./resource.ts";

export const RESOURCES: readonly ResourceTemplate[] = [
  containerLogs,
  containerUse,
  composeConfig,
  composeServices,
  composeLogs,
];
