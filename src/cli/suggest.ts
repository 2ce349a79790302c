/** What may come next on a command line that is being typed. */
import type { Argument, Command, Option } from "commander";
import { COMMANDS, findCommand, ROLES, BUILT_IN } from "./commands.ts";
import { connectManager } from "../api/client/connect.ts";
import { VolumeClient } from "../api/client/volumes.ts";
import { Deadline } from "../base/deadline.ts";
import { commanderFor } from "./commander.ts";
import { isObject } from "./tool-arguments.ts";
import { oneLine } from "./terminal.ts";

export interface Suggestions {
  values: { value: string; description: string }[];
  /** Bits of the protocol: 0 the shell's own file names, 2 no space after the word, 4 no file names. */
  directive: number;
}

const FILES: Suggestions = { values: [], directive: 0 };
const NO_SPACE = 2;
const NO_FILES = 4;
/** A TAB must not be felt: a manager that does not answer in this time is not asked further. */
const ANSWER_MS = 800;

/** `words`: everything after `linkspan`, the last one being typed (perhaps empty). */
export async function suggest(words: string[]): Promise<Suggestions> {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? "";
  const [name, ...rest] = before;
  if (name === undefined || name === "help") return only(firstWords(), current);
  const entry = findCommand(name);
  if (!entry) return FILES;
  const program = commanderFor(entry, await entry.load());
  const isAfterDashes = rest.includes("--");
  const option = isAfterDashes ? undefined : optionOf(program, rest.at(-1));
  if (option && takesValue(option)) return option.argChoices ? only(list(option.argChoices), current) : FILES;
  if (current.startsWith("-") && !isAfterDashes) return only(optionNames(program), current);
  const operands = operandsOf(program, rest);
  const argument = program.registeredArguments[operands.length] ?? lastIfVariadic(program.registeredArguments);
  return argument ? await forArgument(argument, operands, current) : only([], current);
}

async function forArgument(argument: Argument, operands: string[], current: string): Promise<Suggestions> {
  if (argument.argChoices) return only(list(argument.argChoices), current);
  switch (argument.name()) {
    case "name":
      return only(await serverNames(operands), current);
    case "volume":
      return only(await volumeNames(), current);
    case "tool":
      return only(await toolNames(operands[0] ?? ""), current);
    case "arguments":
      return only(await argumentKeys(operands), current, NO_FILES | NO_SPACE);
    default:
      return FILES;
  }
}

function only(values: Suggestions["values"], current: string, directive = NO_FILES): Suggestions {
  return { values: values.filter(({ value }) => value.startsWith(current)), directive };
}

function list(choices: readonly string[]): Suggestions["values"] {
  return choices.map((value) => ({ value, description: "" }));
}

function firstWords(): Suggestions["values"] {
  return [...COMMANDS, ...ROLES, ...BUILT_IN].map((one) => ({ value: one.name, description: one.summary }));
}

function optionNames(program: Command): Suggestions["values"] {
  const long = program.createHelp().visibleOptions(program);
  return long.map((option) => ({ value: option.long ?? option.short ?? "", description: option.description }));
}

function optionOf(program: Command, word: string | undefined): Option | undefined {
  return program.options.find((option) => word !== undefined && (option.long === word || option.short === word));
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

/** The words that are neither options nor their values. */
function operandsOf(program: Command, words: string[]): string[] {
  const operands: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") return [...operands, ...words.slice(i + 1)];
    const option = optionOf(program, word);
    if (option && takesValue(option)) i += 1;
    else if (!word.startsWith("-")) operands.push(word);
  }
  return operands;
}

function lastIfVariadic(list: readonly Argument[]): Argument | undefined {
  const last = list.at(-1);
  return last?.variadic ? last : undefined;
}

/** Asks a manager that runs; a TAB never starts one, and never starts a server. */
async function running() {
  const deadline = Deadline.in(ANSWER_MS);
  return { client: await connectManager({ start: false, deadline }), deadline };
}

async function serverNames(already: string[]): Promise<Suggestions["values"]> {
  const { client, deadline } = await running();
  const views = (await client.servers({ deadline })).filter((view) => !already.includes(view.name));
  return views.map((view) => ({ value: view.name, description: `${view.state}, ${oneLine(view.image)}` }));
}

async function volumeNames(): Promise<Suggestions["values"]> {
  const { client, deadline } = await running();
  const volumes = await new VolumeClient(client.target).list(false, { deadline });
  return volumes.map(({ name }) => ({ value: name, description: "" }));
}

async function toolsOf(server: string) {
  const { client, deadline } = await running();
  if ((await client.server(server, { deadline })).state !== "ready") return [];
  return client.tools(server, { deadline });
}

async function toolNames(server: string): Promise<Suggestions["values"]> {
  const tools = await toolsOf(server);
  return tools.map((tool) => ({ value: tool.name, description: oneLine(tool.description ?? "").slice(0, 80) }));
}

async function argumentKeys([server = "", wanted = ""]: string[]): Promise<Suggestions["values"]> {
  const tool = (await toolsOf(server)).find((one) => one.name === wanted);
  const properties = isObject(tool?.inputSchema.properties) ? tool.inputSchema.properties : {};
  return Object.entries(properties).map(([key, schema]) => {
    const description = isObject(schema) && typeof schema.description === "string" ? schema.description : "";
    return { value: `${key}=`, description: oneLine(description).slice(0, 80) };
  });
}
