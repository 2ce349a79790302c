import * as v from "valibot";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { note, onStdout, oneLine, print, printJson } from "./terminal.ts";

export const approve = command({
  define: (program) =>
    program.argument("<name>", "the server").argument("[tool...]", "only these of its tools (default: all)"),
  examples: [
    ["linkspan approve files", "accept all that has changed; linkspan inspect files shows it"],
    ["linkspan approve files read_file", "accept one tool"],
  ],
  options: v.object({}),
  async run({ args: [name = "", ...tools], json }) {
    const client = await reach();
    const before = await client.approval(name);
    const after = await client.approve(name, tools.length > 0 ? { tools } : {});
    if (json) return printJson(after);
    const left = new Set(after.pending.map(({ tool }) => tool));
    const accepted = before.pending.filter(({ tool }) => !left.has(tool));
    if (accepted.length === 0) return note(`${name} has no change that waits for approval.`);
    for (const { tool, change } of accepted) print(`${onStdout.green("✓")} ${oneLine(tool)} (${change}) is accepted`);
  },
});
