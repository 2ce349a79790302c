/** Every prompt. A new one: its literal, one line here. */
import { securityAudit } from "./audit.ts";
import { generateCompose, optimizeComposeConfig, troubleshootComposeStack } from "./compose.ts";
import { debugNetworking, optimizeContainer, troubleshootContainer } from "./containers.ts";
import type { Prompt } from "./prompt.ts";

export const PROMPTS: readonly Prompt[] = [
  troubleshootContainer,
  optimizeContainer,
  generateCompose,
  debugNetworking,
  securityAudit,
  troubleshootComposeStack,
  optimizeComposeConfig,
];
