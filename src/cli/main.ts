/**
 * The CLI: find the command, parse, run, report. One path for all commands; each is a file in the list of commands.ts.
 */
import { type Command, CommanderError } from "commander";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import type { CliCommand, Services } from "./command.ts";
import { commanderFor } from "./commander.ts";
import { BUILT_IN, COMMANDS, type Entry, findCommand, firstWords, ROLES } from "./commands.ts";
import { endQuietlyWithoutReader, onStderr, onStdout, oneLine, note, print } from "./terminal.ts";

/** Runs one command line (without the program's own name) and resolves with its exit code; never rejects. */
export async function cliMain(argv: string[], services: Services): Promise<number> {
  endQuietlyWithoutReader();
  try {
    return await dispatch(argv, services);
  } catch (thrown) {
    return report(Fault.from(thrown), wantsJson(argv));
  }
}

async function dispatch(argv: string[], services: Services): Promise<number> {
  const [first = "help", ...rest] = argv;
  if (first === "help" || first === "--help" || first === "-h") return help(rest[0]);
  if (first === "complete") return (await import("./completion.ts")).complete(rest);
  const entry = findCommand(first);
  if (!entry) throw unknownCommand(first);
  const definition = await entry.load();
  const parsed = parse(entry, definition, rest);
  if (!parsed) return 0;
  const { json, ...options } = parsed.opts();
  const code = await definition.run({ args: parsed.args, options, json: json === true, services });
  return code ?? 0;
}

/** Undefined where commander has already answered, with help. */
function parse(entry: Entry, definition: CliCommand, args: string[]): Command | undefined {
  try {
    return commanderFor(entry, definition).parse(args, { from: "user" });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    if (thrown.exitCode === 0) return undefined;
    const message = thrown.message.replace(/^error: /, "").replace(/\n\((.*)\)$/s, ". $1");
    throw new Fault("usage", message, { hint: `linkspan ${entry.name} --help shows what it takes.` });
  }
}

async function help(topic: string | undefined): Promise<number> {
  if (topic === undefined || topic.startsWith("-")) {
    print(overview());
    return 0;
  }
  const entry = findCommand(topic);
  if (entry) commanderFor(entry, await entry.load()).outputHelp();
  else if ([...ROLES, ...BUILT_IN].some((one) => one.name === topic)) print(`Try: linkspan ${topic} --help`);
  else throw unknownCommand(topic);
  return 0;
}

function overview(): string {
  const { bold, cyan, dim } = onStdout;
  const lines = [
    `${bold("linkspan")} runs MCP servers in containers and connects MCP clients to them.`,
    "",
    `${bold("Begin with")}`,
    `  linkspan demo                                                   ${dim("# see it work")}`,
    `  linkspan run npm:@modelcontextprotocol/server-everything        ${dim("# a server from npm, no image needed")}`,
    `  linkspan call server-everything echo message=hello              ${dim("# call one of its tools")}`,
    `  linkspan client setup claude-code                               ${dim("# give a client all servers")}`,
  ];
  const groups: string[] = [...new Set(COMMANDS.map((entry) => entry.group))];
  const listed = (group: string) => COMMANDS.filter((entry) => entry.group === group);
  for (const group of groups) lines.push("", bold(group), ...listed(group).map(row));
  lines.push("", bold("Roles"), ...ROLES.map(row), "", bold("About"), ...BUILT_IN.map(row), "");
  lines.push(`${cyan("linkspan COMMAND --help")} shows options and examples.`);
  return lines.join("\n");
}

function row(one: { name: string; summary: string }): string {
  return `  ${one.name.padEnd(12)}${one.summary}`;
}

function unknownCommand(name: string): Fault {
  if (name.startsWith("-")) {
    return new Fault("usage", `unknown option ${oneLine(name)} in front of the command`, {
      hint: "Options come after the command: linkspan COMMAND --help",
    });
  }
  const near = similar(name, firstWords());
  const meant = near.length > 0 ? `Did you mean ${near.join(" or ")}? ` : "";
  return new Fault("usage", `there is no command ${oneLine(name)}`, {
    hint: `${meant}linkspan --help lists all commands.`,
  });
}

/** Looked for by hand, because a command line that cannot be parsed must be refused in the form that was asked for. */
function wantsJson(argv: string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end < 0 ? argv.length : end).includes("--json");
}

function report(fault: Fault, json: boolean): number {
  if (json) {
    note(JSON.stringify({ error: fault.report() }));
    return fault.faces.exit;
  }
  note(`${onStderr.red("linkspan:")} ${oneLine(fault.message)}`);
  for (const line of stderrTail(fault)) note(onStderr.dim(`  | ${oneLine(line)}`));
  if (fault.hint) note(`  ${oneLine(fault.hint)}`);
  if (fault.kind === "internal") {
    const isDebug = Boolean(process.env.LINKSPAN_DEBUG);
    const origin = fault.cause instanceof Error ? fault.cause : fault;
    note(isDebug ? (origin.stack ?? "") : "  This is a defect of Linkspan. LINKSPAN_DEBUG=1 shows where it is.");
  }
  return fault.faces.exit;
}

/** The server's last stderr lines, which a fault of a failed server carries as data. */
function stderrTail(fault: Fault): string[] {
  const lines = fault.data?.stderr;
  return Array.isArray(lines) ? lines.filter((line) => typeof line === "string").slice(-8) : [];
}
