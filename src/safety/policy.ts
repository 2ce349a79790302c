/**
 * Who may call what: the one place that decides, for MCP, REST and the command line. Whatever is not known to be allowed
 * is denied, and what is denied is not listed.
 */
import { Fault } from "../base/fault.ts";
import type { Safety } from "./settings.ts";

/** `safe`: reads only. `moderate`: changes what can be changed back. `destructive`: something is gone afterwards. */
export type Level = "safe" | "moderate" | "destructive";

/** What somebody wants to do: a tool by its name, or a route or command that does the same as that tool. */
export interface Action {
  name: string;
  level: Level;
  /** It is no tool, and the lists of tools say nothing of it. */
  unlisted?: boolean;
  /** The manager's events tell of it: thousands of sessions would only push everything else out of the audit log. */
  chronicled?: boolean;
}

type Verdict = { allowed: true } | { allowed: false; reason: string; hint: string };

const ALLOWED: Verdict = { allowed: true };

export function judgeTool(action: Action, settings: Safety): Verdict {
  const { name } = action;
  if (action.unlisted) return judgeLevel(action, settings);
  if (settings.deniedTools.has(name)) return denied(`${name} is on the list of denied tools`, "SAFETY_DENIED_TOOLS");
  if (settings.allowedTools.size > 0 && !settings.allowedTools.has(name))
    return denied(`${name} is not on the list of allowed tools`, "SAFETY_ALLOWED_TOOLS");
  return judgeLevel(action, settings);
}

/** Without moderate ones nothing is changed at all, whatever is said of destructive ones: that is the read-only mode. */
function judgeLevel({ name, level }: Action, { allowModerate, allowDestructive }: Safety): Verdict {
  switch (level) {
    case "safe":
      return ALLOWED;
    case "moderate":
    case "destructive":
      if (!allowModerate)
        return denied(
          `${name} changes something, and only reading is allowed`,
          "SAFETY_ALLOW_MODERATE_OPERATIONS=true",
        );
      if (level === "moderate" || allowDestructive) return ALLOWED;
      return denied(`${name} destroys something, and that is not allowed`, "SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS=true");
    default:
      return denied(`${name} has no known level`, "a newer version of Linkspan");
  }
}

/** Faults: `forbidden`, with the variable that decides. */
export function requireTool(tool: Action, settings: Safety): void {
  demand(judgeTool(tool, settings));
}

/** An empty list of allowed prompts allows all. */
export function judgePrompt(name: string, { allowedPrompts }: Safety): Verdict {
  if (allowedPrompts.size === 0 || allowedPrompts.has(name)) return ALLOWED;
  return denied(`the prompt ${name} is not on the list of allowed prompts`, "SAFETY_ALLOWED_PROMPTS");
}

/** Faults: `forbidden`. */
export function requirePrompt(name: string, settings: Safety): void {
  demand(judgePrompt(name, settings));
}

/** The list may name a resource (`container_logs`), its template, or the template without its variables (`container://logs`). */
export function judgeResource({ name, template }: { name: string; template: string }, settings: Safety): Verdict {
  const { allowedResources } = settings;
  const plain = template.replace(/\/\{.*$/, "");
  if (allowedResources.size === 0 || [name, template, plain].some((word) => allowedResources.has(word))) return ALLOWED;
  return denied(`the resource ${template} is not on the list of allowed resources`, "SAFETY_ALLOWED_RESOURCES");
}

/** Faults: `forbidden`. */
export function requireResource(resource: { name: string; template: string }, settings: Safety): void {
  demand(judgeResource(resource, settings));
}

function demand(verdict: Verdict): void {
  if (!verdict.allowed) throw new Fault("forbidden", verdict.reason, { hint: verdict.hint });
}

function denied(reason: string, deciding: string): Verdict {
  return { allowed: false, reason, hint: `Whoever configures this server decides it with ${deciding}.` };
}
