import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import type { ToolView } from "../model/rest.ts";
import { command } from "./command.ts";
import { showProgress } from "./progress.ts";
import { reach } from "./reach.ts";
import { table } from "./table.ts";
import { note, onStdout, oneLine, print, printJson, withoutControls } from "./terminal.ts";
import { isObject, typesOf } from "./tool-arguments.ts";

export const tools = command({
  define: (program) =>
    program.argument("<name>", "the server; started if it does not run").argument("[tool]", "show this one in full"),
  examples: [
    ["linkspan tools files", "what the server can do"],
    ["linkspan tools files read_text_file", "what one tool takes"],
    ["linkspan tools files --json", "the tools as the server declares them"],
  ],
  options: v.object({}),
  async run({ args: [name = "", wanted], json }) {
    const client = await reach();
    const progress = showProgress();
    progress.report({ step: `asking ${name} for its tools` });
    const list = await client.tools(name).finally(() => progress.end());
    if (wanted !== undefined) {
      const tool = findTool(list, wanted, name);
      return json ? printJson(tool) : print(describe(tool, name));
    }
    if (json) return printJson(list);
    if (list.length === 0) return note(`${name} has no tools.`);
    const rows = list.map((tool) => [oneLine(tool.name), signature(tool), firstSentence(tool.description ?? "")]);
    print(table([{ title: "TOOL" }, { title: "ARGUMENTS" }, { title: "DESCRIPTION", clip: true }], rows));
  },
});

/** Faults: `not-found`, with similar names. */
export function findTool(list: ToolView[], wanted: string, server: string): ToolView {
  const tool = list.find((one) => one.name === wanted);
  if (tool) return tool;
  const names = list.map((one) => one.name);
  const near = similar(wanted, names);
  throw new Fault("not-found", `${server} has no tool ${wanted}`, {
    hint:
      near.length > 0 ? `Did you mean ${near.join(" or ")}?` : `linkspan tools ${server} lists its ${names.length}.`,
  });
}

interface Parameter {
  key: string;
  types: string;
  isRequired: boolean;
  schema: Record<string, unknown>;
}

function parametersOf(tool: ToolView): Parameter[] {
  const { properties, required } = tool.inputSchema;
  if (!isObject(properties)) return [];
  return Object.entries(properties).map(([key, schema]) => ({
    key,
    types: typesOf(schema).join("|") || "any",
    isRequired: Array.isArray(required) && required.includes(key),
    schema: isObject(schema) ? schema : {},
  }));
}

/** `path [head]`: the required first, the others in brackets. */
function signature(tool: ToolView): string {
  const parameters = parametersOf(tool).sort((a, b) => Number(b.isRequired) - Number(a.isRequired));
  return parameters.map(({ key, isRequired }) => oneLine(isRequired ? key : `[${key}]`)).join(" ");
}

function firstSentence(text: string): string {
  const clean = oneLine(text);
  const end = clean.search(/\.\s/);
  return end < 0 ? clean : clean.slice(0, end + 1);
}

function describe(tool: ToolView, server: string): string {
  const lines = [onStdout.bold(oneLine(tool.name)), ""];
  if (tool.description) lines.push(withoutControls(tool.description).trim(), "");
  const parameters = parametersOf(tool);
  if (parameters.length > 0) {
    const rows = parameters.map(({ key, types, isRequired, schema }) => [
      oneLine(key),
      types,
      isRequired ? "yes" : "",
      schema.default === undefined ? "" : JSON.stringify(schema.default),
      oneLine([allowed(schema), typeof schema.description === "string" ? schema.description : ""].join(" ")),
    ]);
    const titles = ["ARGUMENT", "TYPE", "REQUIRED", "DEFAULT"].map((title) => ({ title }));
    lines.push(table([...titles, { title: "MEANING", clip: true }], rows), "");
  }
  const pairs = parameters.filter((one) => one.isRequired).map(({ key, types }) => `${oneLine(key)}=<${types}>`);
  lines.push(onStdout.dim(["linkspan call", server, oneLine(tool.name), ...pairs].join(" ")));
  return lines.join("\n");
}

function allowed(schema: Record<string, unknown>): string {
  return Array.isArray(schema.enum) ? schema.enum.map((value) => JSON.stringify(value)).join("|") : "";
}
