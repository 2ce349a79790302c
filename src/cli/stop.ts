import * as v from "valibot";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { chosenNames, deadlineOf, TIMEOUT_FLAG, timeoutOption, toEach } from "./servers.ts";

export const stop = command({
  define: (program) =>
    program
      .argument("[name...]", "servers to stop")
      .option("-a, --all", "every server that runs")
      .option(TIMEOUT_FLAG, "give up after this long, such as 30s"),
  examples: [
    ["linkspan stop files", "stop one; its container stays, for its logs"],
    ["linkspan stop --all", "stop everything"],
  ],
  options: v.object({ all: v.optional(v.boolean(), false), timeout: timeoutOption }),
  async run({ args, options: { all, timeout }, json }) {
    const client = await reach();
    await toEach(await chosenNames(client, args, all), json, (name) => client.stop(name, deadlineOf(timeout)));
  },
});
