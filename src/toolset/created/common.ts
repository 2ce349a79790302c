/** What the tools about created servers share. */
import * as v from "valibot";
import { CODE_CHARS_MAX, dependencies as packages } from "../../model/code.ts";
import { savedName as savedNameSchema } from "../../create/saved.ts";
import { language as languages, type Source } from "../../create/source.ts";
import type { Work } from "../../create/workshop.ts";
import type { ToolCall } from "../tool.ts";

export const serverId = v.pipe(
  v.string(),
  v.maxLength(64),
  v.description("From create-server-from-template, load-saved-server or list-servers"),
);
export const savedName = v.pipe(savedNameSchema, v.description("The name it is saved under"));
export const language = v.pipe(languages, v.description("python is built on an image that has it"));
export const code = v.pipe(
  v.string(),
  v.maxLength(CODE_CHARS_MAX),
  v.description(
    "The whole program: an MCP server on standard input and output. An ES module for typescript and javascript",
  ),
);
export const dependencies = v.pipe(
  packages,
  v.description("Packages of npm, for python of PyPI: name → version, range or tag. The template's own where absent"),
);

export const serverFacts = {
  serverId: v.string(),
  language: languages,
  running: v.boolean(),
  isolation: v.pipe(v.string(), v.description("docker: a container of its own; process: none")),
  created: v.string(),
  savedAs: v.optional(v.string()),
};

export const sourceFacts = v.pipe(
  v.object({ language: languages, code: v.string(), dependencies: v.record(v.string(), v.string()) }),
  v.description("What create-server-from-template makes it of again"),
);

/** Of a source what its author has given. */
export function sourceView({ language: spoken, code: text, dependencies: wanted }: Source) {
  return { language: spoken, code: text, dependencies: wanted };
}

export const toolFacts = v.array(
  v.object({
    name: v.string(),
    description: v.optional(v.string()),
    inputSchema: v.record(v.string(), v.unknown()),
  }),
);

interface Listed {
  name: string;
  description?: string | undefined;
  inputSchema: Record<string, unknown>;
}

/** Name, words and input: what a caller needs. */
export function toolsOf(tools: readonly Listed[]) {
  return tools.map(({ name, description, inputSchema }) => ({
    name,
    ...(description === undefined ? {} : { description }),
    inputSchema,
  }));
}

export function workOf({ report, deadline, signal }: ToolCall): Work {
  return { report: (text) => report({ text }), deadline, signal };
}

export function isolationNote(isolation: string): string {
  return isolation === "process"
    ? " It runs as a process of this machine WITHOUT isolation, limits or a closed network: no container engine is used."
    : "";
}
