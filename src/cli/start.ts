import * as v from "valibot";
import { command } from "./command.ts";
import { showProgress } from "./progress.ts";
import { reach } from "./reach.ts";
import { chosenNames, deadlineOf, TIMEOUT_FLAG, timeoutOption, toEach } from "./servers.ts";

export const start = command({
  define: (program) =>
    program
      .argument("<name...>", "servers of linkspan.yaml, or that were run before")
      .option(TIMEOUT_FLAG, "give up after this long, such as 2m"),
  examples: [["linkspan start files git", "start two; one that runs already is left alone"]],
  options: v.object({ timeout: timeoutOption }),
  async run({ args, options: { timeout }, json }) {
    const client = await reach();
    const names = await chosenNames(client, args, false);
    const progress = showProgress();
    const begin = (name: string) => client.start(name, undefined, { ...deadlineOf(timeout), report: progress.report });
    await toEach(names, json, begin, progress);
  },
});
