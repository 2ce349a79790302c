import { Option } from "commander";
import { resolve } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { chosenConfigFile } from "../model/config.ts";
import { clientCalled, fileOf, surroundings } from "./clients/place.ts";
import { type Client, CLIENTS } from "./clients/table.ts";
import { command } from "./command.ts";
import { readConfiguration, withServers, writeConfiguration } from "./import/config.ts";
import { decide } from "./import/decide.ts";
import { tell, unsetVariables } from "./import/tell.ts";
import { readWishes } from "./import/wish.ts";
import { note, oneLine, onStderr, printJson } from "./terminal.ts";

const options = v.object({
  from: v.optional(v.string()),
  project: v.optional(v.boolean(), false),
  to: v.optional(v.string()),
  dryRun: v.optional(v.boolean(), false),
  secretsInClear: v.optional(v.boolean(), false),
});

export const importCommand = command({
  define: (program) =>
    program
      .argument("[file]", "a client's configuration: JSON, TOML or YAML with its MCP servers")
      .addOption(fromOption())
      .option("--project", "with --from: the client's file in the current folder")
      .option("--to <file>", "the linkspan.yaml to add to (default: the one that `linkspan config path` prints)")
      .option("--dry-run", "print the file as it would be, and change nothing")
      .option("--secrets-in-clear", "write secrets into the file instead of ${VARIABLES}"),
  examples: [
    ["linkspan import --from claude-desktop --dry-run", "see what would become of its servers"],
    ["linkspan import --from claude-desktop", "take them over"],
    ["linkspan import .vscode/mcp.json --to linkspan.yaml", "from one file into another"],
  ],
  options,
  async run({ args: [file], options, json }) {
    const to = resolve(options.to ?? chosenConfigFile(process.env));
    const source = sourceOf(file, options);
    const wishes = await readWishes(source.file, source.client);
    const configuration = await readConfiguration(to, process.env);
    const decisions = decide(wishes, { taken: configuration.names, inClear: options.secretsInClear });
    const bodies = Object.fromEntries(decisions.flatMap(({ name, body }) => (body ? [[name, body]] : [])));
    const text = withServers(configuration, bodies, process.env);
    const added = Object.keys(bodies);
    const backup = !options.dryRun && added.length > 0 ? await writeConfiguration(configuration, text) : undefined;
    const outcome = {
      file: to,
      added: options.dryRun ? [] : added,
      decisions,
      unset: unsetVariables(decisions, process.env),
      ...(options.dryRun ? { text } : {}),
      ...(backup === undefined ? {} : { backup }),
    };
    if (json) return printJson(outcome);
    tell(outcome);
    if (outcome.added.length > 0) {
      note(
        onStderr.dim(
          `  They are in ${oneLine(source.file)}, too: whoever reads that starts them twice until they are taken out there.`,
        ),
      );
    }
  },
});

/** Its names are known to help and completion; what is not among them gets an error of our own, with similar ones. */
function fromOption(): Option {
  const option = new Option("--from <client>", "that client's own file instead");
  option.argChoices = CLIENTS.map(({ id }) => id);
  return option;
}

function sourceOf(file: string | undefined, { from, project }: v.InferOutput<typeof options>): Source {
  if ((file === undefined) === (from === undefined)) {
    throw new Fault("usage", "which configuration? One of FILE and --from CLIENT is needed", {
      hint: "linkspan import --from claude-desktop --dry-run",
    });
  }
  if (from === undefined) return { file: file ?? "" };
  const client = clientCalled(from);
  return { file: fileOf(client, project ? "project" : "user", surroundings()), client };
}

interface Source {
  file: string;
  client?: Client;
}
