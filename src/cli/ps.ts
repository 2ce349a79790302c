import * as v from "valibot";
import type { ServerView } from "../model/views.ts";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { SHOWN_STATES, stateCell } from "./servers.ts";
import { table } from "./table.ts";
import { note, oneLine, print, printJson } from "./terminal.ts";
import { formatAge } from "./units.ts";

export const ps = command({
  define: (program) =>
    program
      .option("-a, --all", "also servers that are stopped or were never started")
      .option("-q, --quiet", "names only"),
  examples: [
    ["linkspan ps", "what runs, and what failed"],
    ["linkspan ps -a", "every server that is known"],
    ["linkspan ps --json", "for programs: a JSON array"],
  ],
  options: v.object({ all: v.optional(v.boolean(), false), quiet: v.optional(v.boolean(), false) }),
  async run({ options: { all, quiet }, json }) {
    const views = await (await reach()).servers();
    const shown = all ? views : views.filter((view) => SHOWN_STATES.includes(view.state));
    if (json) return printJson(shown);
    if (quiet) return shown.forEach((view) => print(view.name));
    if (shown.length > 0) return print(serversTable(shown));
    const hidden = views.length > 0 ? `${views.length} not running: linkspan ps -a` : "linkspan run REF starts one";
    note(`No server runs (${hidden}).`);
  },
});

function serversTable(views: ServerView[]): string {
  const rows = views.map((view) => [
    view.name,
    oneLine(view.image),
    view.runtime,
    view.network,
    String(view.sessions),
    view.since === undefined ? "" : formatAge(view.since),
    stateCell(view),
  ]);
  return table(
    [
      { title: "NAME" },
      { title: "IMAGE" },
      { title: "RUNTIME" },
      { title: "NETWORK" },
      { title: "SESSIONS", right: true },
      { title: "UP", right: true },
      { title: "STATE", clip: true },
    ],
    rows,
  );
}
