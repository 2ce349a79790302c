import * as v from "valibot";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { chosenNames, deadlineOf, TIMEOUT_FLAG, timeoutOption, toEach } from "./servers.ts";

export const rm = command({
  define: (program) =>
    program
      .argument("[name...]", "servers to remove")
      .option("-a, --all", "every server that runs")
      .option(TIMEOUT_FLAG, "give up after this long, such as 30s"),
  examples: [
    ["linkspan rm files", "stop it, remove its container, forget it; named volumes stay"],
    ["linkspan rm --all", "remove everything that runs"],
  ],
  options: v.object({ all: v.optional(v.boolean(), false), timeout: timeoutOption }),
  async run({ args, options: { all, timeout }, json }) {
    const client = await reach();
    await toEach(await chosenNames(client, args, all), json, async (name) => {
      await client.remove(name, deadlineOf(timeout));
      return { name, removed: true };
    });
  },
});
