import * as v from "valibot";
import type { ManagerClient } from "../api/client/client.ts";
import { dataDir } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";
import type { StatusView } from "../model/cleanup.ts";
import { itemLine } from "./cleanup.ts";
import { command } from "./command.ts";
import { reach } from "./reach.ts";
import { onStdout, oneLine, print, printJson } from "./terminal.ts";
import { formatAge, formatBytes, formatMs } from "./units.ts";

/** Orphans shown one by one. */
const SHOWN_MAX = 20;

export const status = command({
  define: (program) => program,
  examples: [
    ["linkspan status", "the manager, its servers and sessions, and what is left over"],
    ["linkspan status --json", "for programs: one JSON object"],
  ],
  options: v.object({}),
  async run({ json }) {
    const client = await running();
    const view = await client?.status();
    if (json) return printJson(view ?? { manager: null, dataDir: dataDir() });
    if (view) return print(lines(view).join("\n"));
    print(row("manager", onStdout.dim("does not run; it is started when it is needed")));
    print(row("data", oneLine(dataDir())));
  },
});

/** To look is not to start. */
async function running(): Promise<ManagerClient | undefined> {
  try {
    return await reach({ start: false });
  } catch (thrown) {
    const fault = Fault.from(thrown);
    if (fault.kind === "unreachable" && fault.cause === undefined) return undefined;
    throw fault;
  }
}

function lines({ manager, servers, containers, sessions, budget, volumes, cleanup, orphans }: StatusView): string[] {
  const { pid, version, since, memoryBytes, ready, reason } = manager;
  const how = ready ? onStdout.green("ready") : onStdout.yellow(`not ready (${oneLine(reason ?? "no reason given")})`);
  const states = Object.entries(servers).map(([state, count]) => `${count} ${state}`);
  return [
    row("manager", `${how}, version ${version}, process ${pid}, up ${formatAge(since)}, ${formatBytes(memoryBytes)}`),
    row("data", oneLine(manager.dataDir)),
    row("runtime", manager.runtime),
    row("servers", states.join(", ") || "none"),
    row("containers", `${containers.running} running, ${containers.ended} ended`),
    row("sessions", String(sessions)),
    ...budgetRow(budget),
    ...(volumes === undefined ? [] : [row("volumes", String(volumes))]),
    row("cleanup", cleanupCell(cleanup)),
    row("orphans", orphanCell(orphans)),
    ...(orphans ?? []).slice(0, SHOWN_MAX).map((item) => `  ${itemLine(item)}`),
  ];
}

/** Nothing where nothing is bounded. */
function budgetRow({
  containers,
  containersMax,
  memoryBytes,
  memoryBytesMax,
  waiting,
}: StatusView["budget"]): string[] {
  const parts = [
    ...(containersMax === undefined ? [] : [`${containers} of ${containersMax} containers`]),
    ...(memoryBytesMax === undefined ? [] : [`${formatBytes(memoryBytes)} of ${formatBytes(memoryBytesMax)}`]),
  ];
  if (parts.length === 0) return [];
  const queue = waiting.length === 0 ? [] : [onStdout.yellow(`${waiting.length} waiting: ${waiting.join(", ")}`)];
  return [row("budget", [...parts, ...queue].join(", "))];
}

function cleanupCell({ intervalMs, maxAgeMs, last }: StatusView["cleanup"]): string {
  const every = intervalMs === 0 ? "only when asked" : `every ${formatMs(intervalMs)}`;
  const aged = maxAgeMs === 0 ? "nothing ages" : `idle for ${formatMs(maxAgeMs)} is aged`;
  const failed = last?.failed ? `, ${last.failed} failed` : "";
  const done = last ? `; ${formatAge(last.at)} ago: ${last.removed} removed${failed}` : "";
  return `${every}, ${aged}${done}`;
}

function orphanCell(orphans: StatusView["orphans"]): string {
  if (!orphans) return "not known: the engine does not answer";
  return orphans.length === 0 ? "none" : `${orphans.length}: ${onStdout.cyan("linkspan cleanup")} removes them`;
}

function row(title: string, text: string): string {
  return `${onStdout.bold(title.padEnd(11))} ${text}`;
}
