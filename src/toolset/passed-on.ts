/** What a tool has to say whose work is to call a tool of an MCP server: that tool's result, and nothing of its own. */
import * as v from "valibot";
import { output } from "./output.ts";

interface Result {
  content: ({ type: string } & Record<string, unknown>)[];
  structuredContent?: unknown;
  isError?: boolean | undefined;
}

/** The parts of a tool's literal that say it. */
export const passedOn = {
  output: output({
    content: v.array(v.looseObject({ type: v.string() })),
    structuredContent: v.optional(v.unknown()),
    isError: v.optional(v.pipe(v.boolean(), v.description("The tool itself says that it failed"))),
  }),
  failed: ({ isError }: Result) => isError === true,
  text: ({ content }: Result) =>
    content
      .map((block) => (block.type === "text" && typeof block["text"] === "string" ? block["text"] : `[${block.type}]`))
      .join("\n"),
};

/** Of a result only what counts; a server may send more. */
export function resultOf({ content, structuredContent, isError }: Result): Result {
  return {
    content,
    ...(structuredContent === undefined ? {} : { structuredContent }),
    ...(isError ? { isError } : {}),
  };
}
