import * as v from "valibot";
import type { EventView } from "../model/views.ts";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { onStdout, oneLine, print, printJson } from "./terminal.ts";

export const events = command({
  define: (program) =>
    program
      .argument("[name]", "only events of this server")
      .option("-f, --follow", "go on with new events, until Ctrl-C")
      .option("-n, --tail <count>", "the last events to begin with (default: 100)"),
  examples: [
    ["linkspan events", "what has happened, also to earlier managers"],
    ["linkspan events -f files", "what happens to one server from now on, too"],
    ["linkspan events --json", "one JSON object a line"],
  ],
  options: v.object({
    follow: v.optional(v.boolean(), false),
    tail: v.optional(
      v.pipe(v.string(), v.regex(/^\d{1,4}$/, "expected a number of events up to 9999"), v.transform(Number)),
      "100",
    ),
  }),
  async run({ args: [name], options: { follow, tail }, json }) {
    const client = await reach();
    const list = follow ? client.followEvents(tail) : await client.events(tail);
    for await (const event of list) {
      if (name !== undefined && event.server !== name) continue;
      if (json) printJson(event);
      else print(eventLine(event));
    }
  },
});

function eventLine(event: EventView): string {
  const at = onStdout.dim(new Date(event.at).toISOString());
  const server = event.server ? ` ${onStdout.bold(event.server)}` : "";
  return `${at} ${onStdout.cyan(event.kind)}${server} ${oneLine(event.message)}`;
}
