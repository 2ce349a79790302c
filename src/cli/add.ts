import { resolve } from "node:path";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { chosenConfigFile } from "../model/config.ts";
import { name as serverName } from "../model/server-spec.ts";
import { command } from "./command.ts";
import { readConfiguration, withServers, writeConfiguration } from "./import/config.ts";
import { nameFor } from "./import/decide.ts";
import { tell, unsetVariables } from "./import/tell.ts";
import { become } from "./registry/become.ts";
import { findServer, REGISTRY } from "./registry/source.ts";
import { printJson } from "./terminal.ts";

export const add = command({
  define: (program) =>
    program
      .argument("<server>", "its NAME[@VERSION] in the registry, a server.json, or the URL of one")
      .option("--as <name>", "its name here (default: the end of its name there)")
      .option("--package <kind>", "npm, oci or pypi, where it has several (default: the first of these)")
      .option("--registry <url>", `a registry's URL, or a file with its servers (default: ${REGISTRY})`)
      .option("--to <file>", "the linkspan.yaml to add to (default: the one that `linkspan config path` prints)")
      .option("--dry-run", "print the file as it would be, and change nothing"),
  examples: [
    ["linkspan add io.github.user/weather", "the newest version that the registry has"],
    ["linkspan add io.github.user/weather@1.2.0 --as weather", "a version, under a name"],
    ["linkspan add ./server.json --dry-run", "see what would become of a server.json"],
  ],
  options: v.object({
    as: v.optional(serverName),
    package: v.optional(v.picklist(["npm", "oci", "pypi"], "expected npm, oci or pypi")),
    registry: v.optional(v.string(), REGISTRY),
    to: v.optional(v.string()),
    dryRun: v.optional(v.boolean(), false),
  }),
  async run({ args: [wanted = ""], options, json }) {
    const to = resolve(options.to ?? chosenConfigFile(process.env));
    const configuration = await readConfiguration(to, process.env);
    const server = await findServer(wanted, options.registry);
    const name = options.as ?? nameFor(server.name.split("/").at(-1) ?? "");
    if (configuration.names.has(name)) {
      throw new Fault("conflict", `${to} has a server ${name} already`, {
        hint: "Nothing was changed. --as NAME adds it under another name.",
      });
    }
    const decision = become(server, name, options.package);
    const text = withServers(configuration, decision.body ? { [name]: decision.body } : {}, process.env);
    const backup = options.dryRun ? undefined : await writeConfiguration(configuration, text);
    const outcome = {
      file: to,
      added: options.dryRun ? [] : [name],
      decisions: [decision],
      unset: unsetVariables([decision], process.env),
      ...(options.dryRun ? { text } : {}),
      ...(backup === undefined ? {} : { backup }),
    };
    if (json) printJson(outcome);
    else tell(outcome);
  },
});
