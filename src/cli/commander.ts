import { Command } from "commander";
import type { CliCommand } from "./command.ts";
import type { Entry } from "./commands.ts";
import { onStdout } from "./terminal.ts";

/** The command as commander knows it, also for help and completion. */
export function commanderFor(entry: Entry, definition: CliCommand): Command {
  const program = new Command(`linkspan ${entry.name}`)
    .description(`${entry.summary}.`)
    .exitOverride()
    .helpOption("-h, --help", "show this help")
    .configureOutput({ writeErr: () => undefined })
    .configureHelp({ styleTitle: onStdout.bold });
  definition.define(program);
  program.option("--json", "answer in JSON, for programs; an error is one JSON line on stderr");
  const width = Math.max(...definition.examples.map(([typed]) => typed.length));
  const examples = definition.examples.map(([typed, does]) => `  ${typed.padEnd(width)}  ${onStdout.dim(`# ${does}`)}`);
  return program.addHelpText("after", `\n${onStdout.bold("Examples:")}\n${examples.join("\n")}`);
}
