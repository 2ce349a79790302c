import * as v from "valibot";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { onStdout, print, printJson, withoutControls } from "./terminal.ts";

export const logs = command({
  define: (program) =>
    program
      .argument("<name>", "the server")
      .option("-f, --follow", "go on with new lines, until Ctrl-C or the server's end")
      .option("-n, --tail <lines>", "only the last lines")
      .option("-t, --timestamps", "the time in front of each line"),
  examples: [
    ["linkspan logs files", "all that is kept"],
    ["linkspan logs -f --tail 20 files", "the last 20 lines, and what comes"],
    ["linkspan logs files --json", "one JSON object a line"],
  ],
  options: v.object({
    follow: v.optional(v.boolean(), false),
    tail: v.optional(
      v.pipe(v.string(), v.regex(/^\d{1,7}$/, "expected a number of lines, such as 100"), v.transform(Number)),
    ),
    timestamps: v.optional(v.boolean(), false),
  }),
  async run({ args: [name = ""], options: { follow, tail, timestamps }, json }) {
    const client = await reach();
    const lines = client.logs(name, { follow, ...(tail === undefined ? {} : { tail }) });
    for await (const line of lines) {
      if (json) printJson(line);
      else print((timestamps ? `${onStdout.dim(new Date(line.at).toISOString())} ` : "") + forReader(line.text));
    }
  },
});

/** A file gets the server's bytes as they are; a terminal must not obey them. */
function forReader(text: string): string {
  return process.stdout.isTTY ? withoutControls(text) : text;
}
