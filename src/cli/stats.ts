import * as v from "valibot";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { chosenNames } from "./servers.ts";
import { table } from "./table.ts";
import { note, print, printJson } from "./terminal.ts";
import { formatBytes } from "./units.ts";

export const stats = command({
  define: (program) => program.argument("[name...]", "servers; every one that runs when none is named"),
  examples: [
    ["linkspan stats", "every server that runs"],
    ["linkspan stats files --json", "for programs: a JSON array, sizes in bytes"],
  ],
  options: v.object({}),
  async run({ args, json }) {
    const client = await reach();
    const running = args.length === 0 ? (await client.servers()).filter((view) => view.state === "ready") : [];
    const names = args.length > 0 ? await chosenNames(client, args, false) : running.map((view) => view.name);
    const figures = await Promise.all(names.map(async (name) => ({ name, ...(await client.stats(name)) })));
    if (json) return printJson(figures);
    if (figures.length === 0) return note("No server runs.");
    const rows = figures.map((one) => [
      one.name,
      formatBytes(one.memoryBytes),
      one.memoryLimitBytes > 0 ? formatBytes(one.memoryLimitBytes) : "none",
      `${one.cpuPercent.toFixed(1)} %`,
      String(one.pids),
    ]);
    print(
      table(
        [
          { title: "NAME" },
          { title: "MEMORY", right: true },
          { title: "LIMIT", right: true },
          { title: "CPU", right: true },
          { title: "PROCESSES", right: true },
        ],
        rows,
      ),
    );
  },
});
