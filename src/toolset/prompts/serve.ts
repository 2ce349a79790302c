/** Prompts over MCP. What is not allowed is not listed, and refused. */
import type { Server, ServerContext } from "@modelcontextprotocol/server";
import { Fault } from "../../base/fault.ts";
import { similar } from "../../base/similar.ts";
import { judgePrompt, requirePrompt } from "../../safety/policy.ts";
import { protocolError } from "../protocol-error.ts";
import type { Toolset } from "../toolset.ts";
import type { Prompt } from "./prompt.ts";
import { PROMPTS } from "./prompts.ts";

export function servePrompts(server: Server, toolset: Toolset, who: (context: ServerContext) => string): void {
  server.setRequestHandler("prompts/list", () => ({ prompts: allowed(toolset).map(describe) }));
  server.setRequestHandler("prompts/get", async ({ params }, context) => {
    try {
      const { name, arguments: args = {} } = params;
      const { signal } = context.mcpReq;
      const text = await toolset.look(
        `prompt:${name}`,
        args,
        { who: who(context), signal },
        () => find(name, toolset),
        check(args),
      );
      return { messages: [{ role: "user" as const, content: { type: "text" as const, text } }] };
    } catch (error) {
      throw protocolError(error);
    }
  });
}

/** Values that fit what was typed of an argument. Faults: `not-found`, `forbidden`. */
export async function completePrompt(
  toolset: Toolset,
  name: string,
  argument: string,
  signal: AbortSignal,
): Promise<string[]> {
  const found = find(name, toolset).arguments.find((one) => one.name === argument);
  return (await found?.complete?.(toolset.glance(signal))) ?? [];
}

function allowed({ settings }: Toolset): Prompt[] {
  return PROMPTS.filter(({ name }) => judgePrompt(name, settings).allowed);
}

function find(name: string, toolset: Toolset): Prompt {
  const found = PROMPTS.find((one) => one.name === name);
  if (found) {
    requirePrompt(name, toolset.settings);
    return found;
  }
  const [near] = similar(
    name,
    allowed(toolset).map((one) => one.name),
  );
  throw new Fault("not-found", `there is no prompt ${name}`, near ? { hint: `Did you mean ${near}?` } : {});
}

const check = (args: Record<string, string>) => (prompt: Prompt, call: Parameters<Prompt["body"]>[1]) => {
  const missing = prompt.arguments.find(({ name, required }) => required && !args[name]);
  if (missing) throw new Fault("invalid", `the prompt ${prompt.name} needs ${missing.name}: ${missing.description}`);
  const unknown = Object.keys(args).find((name) => !prompt.arguments.some((one) => one.name === name));
  if (unknown !== undefined) throw new Fault("invalid", `the prompt ${prompt.name} has no argument ${unknown}`);
  return prompt.body(args, call);
};

function describe({ name, title, description, arguments: args }: Prompt) {
  return {
    name,
    title,
    description,
    arguments: args.map((one) => ({ name: one.name, description: one.description, required: one.required })),
  };
}
