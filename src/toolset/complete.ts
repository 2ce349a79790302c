/** Completion of the arguments of prompts and of the variables of resource templates. */
import { completePrompt } from "./prompts/serve.ts";
import { protocolError } from "./protocol-error.ts";
import { completeResource } from "./resources/serve.ts";
import type { Toolset } from "./toolset.ts";

/** The specification's bound of one answer. */
const VALUES_MAX = 100;

interface Question {
  ref: { type: "ref/prompt"; name: string } | { type: "ref/resource"; uri: string };
  argument: { name: string; value: string };
  context?: { arguments?: Record<string, string> | undefined } | undefined;
}

/** Those that begin with what was typed come first, then those that contain it. */
export async function complete(toolset: Toolset, { ref, argument, context }: Question, signal: AbortSignal) {
  try {
    const all =
      ref.type === "ref/prompt"
        ? await completePrompt(toolset, ref.name, argument.name, signal)
        : await completeResource(toolset, ref.uri, argument.name, context?.arguments ?? {}, signal);
    const typed = argument.value.toLowerCase();
    const fitting = all.filter((value) => value.toLowerCase().includes(typed));
    const values = fitting.toSorted((a, b) => rank(a, typed) - rank(b, typed));
    return {
      completion: { values: values.slice(0, VALUES_MAX), total: values.length, hasMore: values.length > VALUES_MAX },
    };
  } catch (error) {
    throw protocolError(error);
  }
}

function rank(value: string, typed: string): number {
  return value.toLowerCase().startsWith(typed) ? 0 : 1;
}
