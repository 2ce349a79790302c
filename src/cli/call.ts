import * as v from "valibot";
import type { ManagerClient } from "../api/client/client.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { jsonObject, type ToolResult } from "../model/rest.ts";
import { command } from "./command.ts";
import { showProgress } from "./progress.ts";
import { reach } from "./reach.ts";
import { deadlineOf, TIMEOUT_FLAG, timeoutOption } from "./servers.ts";
import { note, onStderr, print, printJson, withoutControls } from "./terminal.ts";
import { toolArguments } from "./tool-arguments.ts";
import { findTool } from "./tools.ts";
import { formatBytes } from "./units.ts";

/** What `--args @FILE` and `--args -` may bring; the manager takes no longer body. */
const ARGUMENT_BYTES_MAX = 8 * 1024 * 1024;
const STDIN_MS = 60_000;

export const call = command({
  define: (program) =>
    program
      .argument("<name>", "the server; started if it does not run")
      .argument("<tool>", "the tool")
      .argument("[arguments...]", "key=value (typed by the tool's schema) or key:=json; a repeated key makes a list")
      .option("--args <json>", "all arguments as a JSON object; @FILE or - (stdin) reads it")
      .option(TIMEOUT_FLAG, "give up after this long, such as 90s (default: 60s)"),
  examples: [
    ["linkspan call files read_text_file path=/data/notes.txt head=3", "text and numbers as the tool wants them"],
    [`linkspan call files edit_file path=/data/a.txt edits:='[{"oldText":"a","newText":"b"}]'`, "raw JSON for one"],
    [`linkspan call files list_directory --args '{"path":"/data"}'`, "all arguments at once"],
    ["linkspan call files list_directory path=/data --json", "the whole result, for programs"],
  ],
  options: v.object({ args: v.optional(v.string()), timeout: timeoutOption }),
  async run({ args: [name = "", tool = "", ...pairs], options: { args: given, timeout }, json }) {
    const base = given === undefined ? {} : await parseArgs(given);
    const client = await reach();
    const progress = showProgress();
    progress.report({ step: `calling ${tool} of ${name}` });
    let result: ToolResult;
    try {
      const typed = pairs.length === 0 ? base : await typedArguments(client, name, tool, pairs, base);
      const options = { ...deadlineOf(timeout), report: progress.report };
      result = await client.call(name, { tool, arguments: typed }, options);
    } finally {
      progress.end();
    }
    return json ? printResult(result, tool) : showResult(result, tool);
  },
});

/** The schema is asked for only where there is something to be typed by it. */
async function typedArguments(
  client: ManagerClient,
  server: string,
  tool: string,
  pairs: string[],
  base: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const { inputSchema } = findTool(await client.tools(server), tool, server);
  return toolArguments(pairs, base, inputSchema);
}

/** JSON mode: the result is data even where the tool says that it failed. */
function printResult(result: ToolResult, tool: string): number {
  printJson(result);
  if (result.isError !== true) return 0;
  throw failed(result, tool);
}

function showResult(result: ToolResult, tool: string): number {
  const parts = result.content.map(contentText);
  if (parts.length === 0 && result.structuredContent !== undefined) {
    parts.push(JSON.stringify(result.structuredContent, undefined, 2));
  }
  if (result.isError !== true) {
    for (const part of parts) print(process.stdout.isTTY ? withoutControls(part) : part);
    return 0;
  }
  note(`${onStderr.red("linkspan:")} ${tool} failed`);
  for (const part of parts) note(withoutControls(part).replace(/^/gm, "  "));
  return failed(result, tool).faces.exit;
}

function failed(result: ToolResult, tool: string): Fault {
  const text = result.content.map(contentText).join("\n");
  return new Fault("tool-failed", text ? `${tool} failed: ${text}` : `${tool} failed`);
}

/** A content block as text; what is not text is named, `--json` has it. */
export function contentText(block: ToolResult["content"][number]): string {
  if (block.type === "text" && typeof block.text === "string") return block.text;
  if ((block.type === "image" || block.type === "audio") && typeof block.data === "string") {
    return `[${block.type} ${String(block.mimeType)}, ${formatBytes(Math.floor((block.data.length * 3) / 4))}; --json shows it]`;
  }
  if (block.type === "resource_link") return `[link to ${String(block.uri)}]`;
  const resource = v.safeParse(v.looseObject({ uri: v.string(), text: v.optional(v.string()) }), block.resource);
  if (resource.success) return resource.output.text ?? `[resource ${resource.output.uri}; --json shows it]`;
  return `[${block.type}; --json shows it]`;
}

/** `{…}`, `@FILE` or `-` for stdin. */
async function parseArgs(given: string): Promise<Record<string, unknown>> {
  const text = await argsText(given);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Fault("usage", `--args is not JSON: ${reason}`, { hint: `Quote it for the shell: --args '{"key":1}'` });
  }
  const parsed = v.safeParse(jsonObject, value);
  if (!parsed.success) throw new Fault("usage", `--args takes a JSON object such as '{"key":1}'`);
  return parsed.output;
}

async function argsText(given: string): Promise<string> {
  if (given !== "-" && !given.startsWith("@")) return given;
  const file = given === "-" ? Bun.stdin : Bun.file(given.slice(1));
  const what = given === "-" ? "stdin" : given.slice(1);
  const read = async () => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of file.stream()) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > ARGUMENT_BYTES_MAX) throw new Fault("too-large", `${what} has more than 8 MiB`);
    }
    return text + decoder.decode();
  };
  try {
    return await Deadline.in(STDIN_MS).race(`reading ${what}`, read());
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("usage", `${what} cannot be read`, {
      cause,
      hint: "--args @FILE names a file with a JSON object.",
    });
  }
}
