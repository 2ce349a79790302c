import * as v from "valibot";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { note, onStdout, oneLine, print, printJson } from "./terminal.ts";

export const approve = command({
  define: (program) =>
    program
      .argument("<name>", "the server")
      .argument("[tool...]", "only these of its tools (default: all)")
      .option("--digest <digest>", "accept only what linkspan inspect has shown with this digest"),
  examples: [
    ["linkspan approve files", "accept all that has changed; linkspan inspect files shows it"],
    ["linkspan approve files --digest 1f8e2c0a9b3d4e5f", "accept what was shown, and nothing that came since"],
    ["linkspan approve files read_file", "accept one tool"],
  ],
  options: v.object({ digest: v.optional(v.string()) }),
  async run({ args: [name = "", ...tools], options: { digest }, json }) {
    const client = await reach();
    const before = await client.approval(name);
    const seen = digest ?? before.digest;
    const wanted = { ...(tools.length > 0 ? { tools } : {}), ...(seen === "" ? {} : { digest: seen }) };
    const after = await client.approve(name, wanted);
    if (json) return printJson(after);
    const left = new Set(after.pending.map(({ tool }) => tool));
    const accepted = before.pending.filter(({ tool }) => !left.has(tool));
    if (accepted.length === 0) return note(`${name} has no change that waits for approval.`);
    for (const { tool, change } of accepted) print(`${onStdout.green("✓")} ${oneLine(tool)} (${change}) is accepted`);
  },
});
