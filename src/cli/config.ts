import { Argument } from "commander";
import * as v from "valibot";
import { Fault } from "../base/fault.ts";
import { chosenConfigFile, explain, loadConfig } from "../model/config.ts";
import { command } from "./command.ts";
import { note, onStdout, print, printJson } from "./terminal.ts";

export const config = command({
  define: (program) =>
    program
      .addArgument(new Argument("<action>", "what to do").choices(["validate", "path"]))
      .argument("[file]", "the configuration (default: the one that `linkspan config path` prints)"),
  examples: [
    ["linkspan config validate linkspan.yaml", "every error with its line and column"],
    ["linkspan config path", "where the manager looks when it is not told"],
  ],
  options: v.object({}),
  async run({ args: [action, file = chosenConfigFile(process.env)], json }) {
    if (action === "path") return json ? printJson({ path: file }) : print(file);
    const result = await loadConfig(file, process.env).catch((thrown: unknown) => {
      const fault = Fault.from(thrown);
      throw new Fault(fault.kind, fault.message, {
        cause: thrown,
        hint: "linkspan config validate FILE checks another.",
      });
    });
    if (result.ok) {
      const servers = result.config.servers.map((server) => server.name);
      const list = servers.length > 0 ? `: ${servers.join(", ")}` : "";
      return json
        ? printJson({ file, ok: true, servers })
        : print(
            `${onStdout.green("✓")} ${file} is valid, ${servers.length} server${servers.length === 1 ? "" : "s"}${list}`,
          );
    }
    const count = result.errors.length === 1 ? "1 error" : `${result.errors.length} errors`;
    const fault = new Fault("invalid", `${file} has ${count}`, { data: { errors: result.errors } });
    if (json) throw fault;
    note(explain(result.errors));
    note(`${file} has ${count}.`);
    return fault.faces.exit;
  },
});
