/** What clients declare that they can be asked, and what they cannot. */
import type { Params, Question } from "../exchange.ts";
import { isRecord } from "./message.ts";

/** The extension of the modern era under which a server may answer with a task; nothing here follows one. */
const TASKS_EXTENSION = "io.modelcontextprotocol/tasks";

/** The name of the capability that the client has not declared; undefined where the question may be put. */
export function missingCapability({ method, params }: Question, declared: Params): string | undefined {
  switch (method) {
    case "roots/list":
      return isRecord(declared.roots) ? undefined : "roots";
    case "sampling/createMessage": {
      if (!isRecord(declared.sampling)) return "sampling";
      const withTools = params.tools !== undefined || params.toolChoice !== undefined;
      return withTools && !isRecord(declared.sampling.tools) ? "sampling.tools" : undefined;
    }
    case "elicitation/create": {
      const { elicitation } = declared;
      if (!isRecord(elicitation)) return "elicitation";
      if (params.mode === "url") return isRecord(elicitation.url) ? undefined : "elicitation.url";
      // Nothing inside means form: what it meant before there were modes.
      return elicitation.form === undefined && elicitation.url !== undefined ? "elicitation.form" : undefined;
    }
  }
}

/** What a modern client declares, without what is not carried through. */
export function modernCapabilities(declared: Params): Params {
  const { tasks: _, extensions, ...kept } = declared;
  if (!isRecord(extensions)) return kept;
  const { [TASKS_EXTENSION]: __, ...others } = extensions;
  return Object.keys(others).length > 0 ? { ...kept, extensions: others } : kept;
}

/** The same for a legacy client: its version decides what exists. */
export function legacyCapabilities(declared: Params, version: string): Params {
  const { tasks: _, ...kept } = declared;
  if (version < "2025-06-18") delete kept.elicitation;
  else if (version < "2025-11-25" && isRecord(kept.elicitation)) kept.elicitation = {};
  return kept;
}
