/**
 * The small form for small context windows: one tool for each category, with the action as an argument, and one that
 * tells an action's arguments. Every call goes the same way as in the large form.
 */
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import { issueFault } from "../model/issues.ts";
import { inputSchema } from "./describe.ts";
import type { Category, Outcome, Tool } from "./tool.ts";
import { CONFIRMATION } from "./toolset.ts";

export const HELP = "action_help";
const PREFIX = "docker_";
/** Categories that have nothing to do with an engine, and what they are about. */
const OTHERS: Partial<Record<Category, { name: string; about: string }>> = {
  servers: { name: "mcp_servers", about: "MCP servers that Linkspan runs." },
  create: { name: "created_servers", about: "MCP servers that are created here." },
};
const ASKED_MAX = 10;

const call = v.strictObject({ action: v.string(), arguments: v.optional(v.record(v.string(), v.unknown()), {}) });
const question = v.strictObject({ actions: v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(ASKED_MAX)) });

/** As `tools/list` shows it. */
export function compactList(tools: readonly Tool[]) {
  const categories = Map.groupBy(tools, ({ category }) => category);
  const help = {
    name: HELP,
    title: "Arguments of actions",
    description: `What actions do and which arguments they take. Ask before an action's first use. A destructive one answers with a plan; the same call with ${CONFIRMATION} does it.`,
    inputSchema: {
      type: "object" as const,
      properties: { actions: { type: "array", items: { type: "string" }, maxItems: ASKED_MAX } },
      required: ["actions"],
    },
    annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  };
  return [help, ...[...categories].map(([category, list]) => categoryTool(category, list))];
}

function categoryTool(category: Category, tools: readonly Tool[]) {
  const safe = tools.every(({ level }) => level === "safe");
  return {
    name: nameOf(category),
    title: category,
    description: OTHERS[category]?.about ?? `Docker ${category}.`,
    inputSchema: {
      type: "object" as const,
      properties: {
        action: { type: "string", enum: tools.map(actionOf) },
        arguments: { type: "object" },
      },
      required: ["action"],
    },
    annotations: {
      readOnlyHint: safe,
      destructiveHint: tools.some(({ level }) => level === "destructive"),
      idempotentHint: safe,
      openWorldHint: tools.some(({ openWorld }) => openWorld === true),
    },
  };
}

export function nameOf(category: Category): string {
  return OTHERS[category]?.name ?? PREFIX + category;
}

export function actionOf({ name }: Tool): string {
  return name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;
}

/**
 * The call that it stands for, whether it is allowed or not: the policy says so then. `offered`: what is proposed instead
 * of a wrong one. Faults: `not-found`, `invalid`.
 */
export function expand(
  tools: readonly Tool[],
  offered: readonly Tool[],
  name: string,
  args: unknown,
): { name: string; args: Record<string, unknown> } {
  const list = tools.filter(({ category }) => nameOf(category) === name);
  if (list.length === 0) {
    const own = tools.find((one) => one.name === name);
    throw new Fault("not-found", `there is no tool ${name}`, own ? { hint: whereOf(own) } : {});
  }
  const parsed = v.safeParse(call, args);
  if (!parsed.success)
    throw issueFault(
      call,
      parsed.issues,
      `the input of ${name}`,
      `An action's own arguments are an object in "arguments".`,
    );
  const { action, arguments: own } = parsed.output;
  const elsewhere = list.some(is(action)) ? undefined : tools.find(is(action));
  if (elsewhere) throw new Fault("not-found", `${name} has no action ${action}`, { hint: whereOf(elsewhere) });
  const found =
    list.find(is(action)) ??
    find(
      offered.filter((one) => list.includes(one)),
      action,
    );
  return { name: found.name, args: own };
}

function whereOf(tool: Tool): string {
  return `It is {"action": "${actionOf(tool)}"} of ${nameOf(tool.category)}.`;
}

export function help(tools: readonly Tool[], args: unknown): Outcome {
  const parsed = v.safeParse(question, args);
  if (!parsed.success) throw issueFault(question, parsed.issues, `the input of ${HELP}`);
  const actions = parsed.output.actions.map((action) => {
    const found = find(tools, action);
    const { level, description, example } = found;
    return { action: actionOf(found), level, description, arguments: inputSchema(found), example };
  });
  return { structured: { actions }, text: JSON.stringify(actions) };
}

function find(tools: readonly Tool[], action: string): Tool {
  const found = tools.find(is(action));
  if (found) return found;
  const near = similar(action, tools.map(actionOf));
  throw new Fault("not-found", `there is no action ${action}`, {
    hint: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "Each tool lists its actions.",
  });
}

const is = (action: string) => (tool: Tool) => actionOf(tool) === action || tool.name === action;
