/** What the commands on servers share: which ones, one after the other's failure, and their states in colour. */
import * as v from "valibot";
import type { ManagerClient } from "../api/client/client.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { duration } from "../model/units.ts";
import type { ServerState, ServerView } from "../model/views.ts";
import type { ProgressLine } from "./progress.ts";
import { onStdout, oneLine, print, printJson } from "./terminal.ts";

/** Servers for which something exists that runs, or that should and does not. */
export const SHOWN_STATES: ServerState[] = ["creating", "starting", "ready", "unhealthy", "stopping", "failed"];

/** `--timeout` of the commands that wait: milliseconds, at most the ten minutes that the manager waits. */
export const timeoutOption = v.optional(duration(1, 600_000));
export const TIMEOUT_FLAG = "--timeout <duration>";

export function deadlineOf(timeoutMs: number | undefined): { deadline: Deadline } | Record<string, never> {
  return timeoutMs === undefined ? {} : { deadline: Deadline.in(timeoutMs) };
}

/** The names that were given, or with `--all` those that are running. */
export async function chosenNames(client: ManagerClient, names: string[], all: boolean): Promise<string[]> {
  if (all && names.length > 0) throw new Fault("usage", "give names or --all, not both");
  if (!all && names.length === 0) throw new Fault("usage", "which server?", { hint: "linkspan ps -a lists them." });
  if (!all) return [...new Set(names)];
  return (await client.servers()).filter((view) => SHOWN_STATES.includes(view.state)).map((view) => view.name);
}

/**
 * Does the same to each server, all at once; one that fails does not keep the others from it. Prints the names that
 * worked (JSON: what the work resolved to), then throws one fault for all that did not.
 */
export async function toEach<T>(
  names: string[],
  json: boolean,
  work: (name: string) => Promise<T>,
  progress?: ProgressLine,
): Promise<void> {
  const settled = await Promise.allSettled(names.map(work));
  // The names must not land behind a spinner.
  progress?.end();
  const results: T[] = [];
  const failures: { server: string; fault: Fault }[] = [];
  for (const [at, outcome] of settled.entries()) {
    const server = names[at] ?? "";
    if (outcome.status === "rejected") failures.push({ server, fault: Fault.from(outcome.reason) });
    else {
      results.push(outcome.value);
      if (!json) print(server);
    }
  }
  if (json) printJson(results);
  const [first, ...more] = failures;
  if (!first) return;
  if (more.length === 0) throw first.fault;
  throw new Fault(
    first.fault.kind,
    `${failures.length} of ${names.length} servers failed: ${failures.map(({ fault }) => fault.message).join("; ")}`,
    {
      ...(first.fault.hint === undefined ? {} : { hint: first.fault.hint }),
      data: { failures: failures.map(({ server, fault }) => ({ server, ...fault.report() })) },
    },
  );
}

export function stateCell(view: ServerView): string {
  const paint = {
    defined: onStdout.dim,
    creating: onStdout.yellow,
    starting: onStdout.yellow,
    ready: onStdout.green,
    unhealthy: onStdout.yellow,
    stopping: onStdout.yellow,
    stopped: onStdout.dim,
    failed: onStdout.red,
  }[view.state];
  const own = view.containers === undefined ? [] : [`${view.containers} containers`];
  const more = [...own, ...(view.reason ? [oneLine(view.reason)] : [])].join(": ");
  return paint(view.state) + (more ? onStdout.dim(` (${more})`) : "");
}
