import * as v from "valibot";
import type { PendingTool } from "../model/approval.ts";
import type { Inspection } from "../model/rest.ts";
import { command } from "./command.ts";
import { hardening } from "./hardening.ts";
import { reach } from "./reach.ts";
import { stateCell } from "./servers.ts";
import { onStdout, oneLine, print, printJson } from "./terminal.ts";
import { formatAge, formatMs } from "./units.ts";

export const inspect = command({
  define: (program) => program.argument("<name>", "the server"),
  examples: [
    ["linkspan inspect files", "the spec, the lock-in as the engine reports it, and the health"],
    ["linkspan inspect files --json", "everything, the engine's own description too"],
  ],
  options: v.object({}),
  async run({ args: [name = ""], json }) {
    const client = await reach();
    const [found, { pending, digest }] = await Promise.all([client.inspect(name), client.approval(name)]);
    if (json) return printJson({ ...found, pendingTools: pending });
    const sections = { Server: server(found), "Locked in": hardening(found), Health: health(found) };
    const blocks = Object.entries(sections)
      .filter(([, rows]) => rows.length > 0)
      .map(([title, rows]) => block(title, rows));
    if (found.gaps.length > 0)
      blocks.push(
        block(
          "Weaker than asked",
          found.gaps.map((gap) => [gap.field, gap.message]),
        ),
      );
    if (pending.length > 0) blocks.push(changes(name, pending, digest));
    print(blocks.join("\n\n"));
  },
});

/** Tools that are not as they were accepted: every word of it is the server's. */
function changes(name: string, pending: readonly PendingTool[], digest: string): string {
  const lines = pending.flatMap(({ tool, change, findings, differences }) => [
    `  ${onStdout.bold(oneLine(tool))} ${change}`,
    ...findings.map((finding) => `    ${onStdout.yellow("!")} ${oneLine(finding)}`),
    ...differences.flatMap(({ path, before, after }) => [
      `    ${oneLine(path) || "all"}`,
      ...(before === undefined ? [] : [`      ${onStdout.red(`- ${oneLine(before)}`)}`]),
      ...(after === undefined ? [] : [`      ${onStdout.green(`+ ${oneLine(after)}`)}`]),
    ]),
  ]);
  return [onStdout.bold(`Tools that wait for approval (linkspan approve ${name} --digest ${digest})`), ...lines].join(
    "\n",
  );
}

type Rows = string[][];

function block(title: string, rows: Rows): string {
  const width = Math.max(...rows.map(([key = ""]) => key.length)) + 2;
  const lines = rows.map(([key = "", value = ""]) => `  ${onStdout.dim(key.padEnd(width))}${value}`);
  return [onStdout.bold(title), ...lines].join("\n");
}

function server({ view, spec }: Inspection): Rows {
  const environment = [...Object.keys(spec.env), ...Object.keys(spec.secrets).map((key) => `${key} (secret)`)];
  const addresses = view.addresses.map((one) => (one.kind === "tcp" ? `${one.host}:${one.port}` : one.path));
  return filled([
    ["name", view.name],
    ["image", spec.image],
    ["entrypoint", spec.command?.join(" ") ?? ""],
    ["arguments", spec.args?.join(" ") ?? ""],
    ["state", stateCell(view) + (view.since === undefined ? "" : `, for ${formatAge(view.since)}`)],
    ["runtime", view.runtime],
    ["container", view.container ?? ""],
    ["bridge at", addresses.join(", ")],
    ["sessions", `${view.sessions}, ${POLICY[spec.session]}`],
    ["environment", environment.join(", ")],
  ]);
}

function health({ health: bridge, spec }: Inspection): Rows {
  if (!bridge) return [["bridge", "does not answer (the server does not run)"]];
  return filled([
    ["bridge", `${bridge.status}, version ${bridge.version}, up ${formatMs(bridge.uptimeMs)}`],
    ["processes", `${bridge.processes} for ${bridge.sessions} sessions`],
    ["spares", bridge.spares > 0 || spec.spare > 0 ? `${bridge.spares} of ${spec.spare} wait for a session` : ""],
    ["trouble", bridge.trouble?.message ?? ""],
    ["busy", bridge.busy > 0 ? `${bridge.busy} answer nothing while requests wait or they compute` : ""],
    ["in flight", `${bridge.inFlight} requests over ${bridge.connections} connections`],
    ["checked", `every ${formatMs(spec.health.interval)}, ${spec.health.retries} failures mean unhealthy`],
  ]);
}

const POLICY = {
  process: "each with a process of its own",
  shared: "on one shared process",
  container: "each with a container of its own",
};

/** Rows with something to say, made safe for the terminal. */
export function filled(rows: Rows): Rows {
  return rows
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([key = "", value = ""]) => [key, key === "state" ? value : oneLine(value)]);
}
