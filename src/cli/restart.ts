import * as v from "valibot";
import { command } from "./command.ts";
import { showProgress } from "./progress.ts";
import { reach } from "./reach.ts";
import { chosenNames, deadlineOf, TIMEOUT_FLAG, timeoutOption, toEach } from "./servers.ts";

export const restart = command({
  define: (program) =>
    program
      .argument("[name...]", "servers to restart")
      .option("-a, --all", "every server that runs")
      .option(TIMEOUT_FLAG, "give up after this long, such as 2m"),
  examples: [["linkspan restart files", "stop it and start it again; its sessions end"]],
  options: v.object({ all: v.optional(v.boolean(), false), timeout: timeoutOption }),
  async run({ args, options: { all, timeout }, json }) {
    const client = await reach();
    const names = await chosenNames(client, args, all);
    const progress = showProgress();
    const again = (name: string) => client.restart(name, { ...deadlineOf(timeout), report: progress.report });
    await toEach(names, json, again, progress);
  },
});
