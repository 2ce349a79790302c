/** What prompts say about a container: its state, its log's end, its use of the machine, without environment values. */
import * as v from "valibot";
import { stringify } from "yaml";
import { Fault } from "../../base/fault.ts";
import { at, type ContainerInfo, listContainers } from "../../docker/containers.ts";
import { openLogs } from "../../docker/logs.ts";
import { containerStats } from "../../docker/stats.ts";
import { containerId, findContainer, maskEnvironment, nameOf } from "../containers/common.ts";
import { composeModel, projectNames, unique } from "../projects.ts";
import { redactor } from "../values.ts";
import type { ToolCall } from "../tool.ts";
import type { PromptArgument } from "./prompt.ts";

const LOG_LINES = 50;
const LOG_CHARS_MAX = 16_000;
const PROCESSES_MAX = 100;

export const containerArgument: PromptArgument = {
  name: "container_id",
  description: "The container's name or id",
  required: true,
  complete: containerNames,
};

export const projectArgument: PromptArgument = {
  name: "project",
  description: "The compose project's name",
  required: true,
  complete: projectNames,
};

/** Of all containers, stopped ones too. */
export async function containerNames(call: ToolCall): Promise<string[]> {
  const found = await listContainers(await call.engine(), {}, call.deadline);
  return unique(found.map(({ Names }) => Names?.[0]?.replace(/^\//, "")));
}

const health = v.object({
  Status: v.string(),
  Log: v.optional(v.nullable(v.array(v.object({ ExitCode: v.number(), Output: v.string() }))), []),
});

/** State and settings, as YAML. */
export function stateText(info: ContainerInfo): string {
  const hide = redactor(info.Config.Env);
  const { Status, ExitCode, OOMKilled, Error: failure, StartedAt, FinishedAt } = info.State;
  const checked = v.safeParse(health, info.State.Health);
  const state = {
    name: nameOf(info),
    id: info.Id,
    status: Status,
    exit_code: ExitCode,
    out_of_memory: OOMKilled,
    error: hide(failure),
    started_at: StartedAt,
    finished_at: FinishedAt,
    restarts: info["RestartCount"],
    health: checked.success
      ? {
          status: checked.output.Status,
          last_checks: (checked.output.Log ?? [])
            .slice(-3)
            .map(({ ExitCode: code, Output }) => ({ exit_code: code, output: hide(Output.slice(0, 500)) })),
        }
      : "no health check",
    environment: maskEnvironment(info.Config.Env),
  };
  return stringify({ ...state, settings: composeModel([info])["services"] });
}

/** The last lines; empty where the log driver keeps none. */
export async function logText(info: ContainerInfo, call: ToolCall, tail = LOG_LINES): Promise<string> {
  const request = { tail, terminal: info.Config.Tty };
  const lines = await openLogs(await call.engine(), info.Id, request, call.deadline, call.signal).catch(
    () => undefined,
  );
  const text = lines ? (await Array.fromAsync(lines)).map((line) => line.text).join("\n") : "";
  return redactor(info.Config.Env)(text).slice(-LOG_CHARS_MAX) || "(nothing)";
}

export async function statsText({ Id, State, HostConfig }: ContainerInfo, call: ToolCall): Promise<string> {
  if (State.Status !== "running") return `It does not run. Memory limit: ${HostConfig.Memory || "none"}.`;
  const { cpuPercent, memoryBytes, memoryLimitBytes, pids } = await containerStats(
    await call.engine(),
    Id,
    call.deadline,
  );
  return stringify({
    cpu_percent: Math.round(cpuPercent * 100) / 100,
    memory_bytes: memoryBytes,
    memory_limit_bytes: HostConfig.Memory > 0 ? memoryLimitBytes : "none",
    processes: pids,
  });
}

const top = v.object({ Processes: v.optional(v.nullable(v.array(v.array(v.string()))), []) });

/** Command lines inside; undefined where it does not run. */
export async function processesOf({ Id, State }: ContainerInfo, call: ToolCall): Promise<string[] | undefined> {
  if (State.Status !== "running") return undefined;
  const request = { what: "listing its processes", method: "GET", path: at(Id, "top") } as const;
  const { Processes } = await (await call.engine()).call(request, top, call.deadline);
  return (Processes ?? []).slice(0, PROCESSES_MAX).map((row) => row.at(-1) ?? "");
}

/** Faults: `invalid`, `not-found`. */
export async function findFor(args: Readonly<Record<string, string>>, call: ToolCall): Promise<ContainerInfo> {
  const asked = v.safeParse(containerId, args["container_id"]);
  if (!asked.success) throw new Fault("invalid", `container_id: ${asked.issues[0].message}`);
  return findContainer(asked.output, call);
}
