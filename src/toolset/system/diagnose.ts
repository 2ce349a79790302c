import * as v from "valibot";
import type { ContainerInfo } from "../../docker/containers.ts";
import { openLogs } from "../../docker/logs.ts";
import { containerId, findContainer, nameOf } from "../containers/common.ts";
import { output } from "../output.ts";
import { tool, type ToolCall } from "../tool.ts";
import { type ContainerFacts, findings, type Finding } from "./findings.ts";

const LOG_LINES = 20;

const finding = v.object({ severity: v.picklist(["problem", "remark"]), what: v.string(), next: v.string() });

export const diagnoseTool = tool({
  name: "docker_diagnose",
  category: "system",
  title: "Diagnose a container",
  description:
    "Why a container is unhealthy, restarts, was killed for memory, did not start or ended: what its state, health checks, limits and last log lines say, with what to do next. Begin with this one when something does not work.",
  level: "safe",
  time: "work",
  input: v.strictObject({ container_id: containerId }),
  output: output({
    id: v.string(),
    name: v.string(),
    state: v.string(),
    findings: v.array(finding),
    last_log: v.array(v.string()),
  }),
  example: { container_id: "web" },
  async handle({ container_id }, call) {
    const info = await findContainer(container_id, call);
    const last_log = await lastLines(info.Id, info.Config.Tty, call);
    return { id: info.Id, name: nameOf(info), state: info.State.Status, findings: diagnosed(info), last_log };
  },
  text: ({ name, state, findings: found, last_log }) =>
    [
      `${name} is ${state}.`,
      ...(found.length === 0 ? ["Nothing is amiss."] : found.map(line)),
      ...(last_log.length > 0 ? ["Last lines of its log:", ...last_log] : []),
    ].join("\n"),
});

/** What the findings are made from (API reference, ContainerInspect). */
const factsSchema = v.object({
  State: v.object({
    Status: v.string(),
    OOMKilled: v.optional(v.boolean(), false),
    ExitCode: v.optional(v.number(), 0),
    Error: v.optional(v.string(), ""),
    Health: v.optional(
      v.nullable(
        v.object({
          Status: v.string(),
          FailingStreak: v.optional(v.number(), 0),
          Log: v.optional(v.nullable(v.array(v.object({ ExitCode: v.number(), Output: v.string() }))), []),
        }),
      ),
    ),
  }),
  RestartCount: v.optional(v.number(), 0),
  HostConfig: v.object({
    Memory: v.optional(v.number(), 0),
    RestartPolicy: v.optional(v.object({ Name: v.optional(v.string(), "") }), {}),
    Privileged: v.optional(v.boolean(), false),
  }),
});

export function diagnosed(info: ContainerInfo): Finding[] {
  const facts: ContainerFacts = v.parse(factsSchema, info);
  return findings(facts);
}

async function lastLines(id: string, terminal: boolean, call: ToolCall): Promise<string[]> {
  const request = { tail: LOG_LINES, terminal };
  const lines = await openLogs(await call.engine(), id, request, call.deadline, call.signal).catch(() => undefined);
  // Some log drivers cannot be read back.
  return lines ? (await Array.fromAsync(lines)).map(({ text }) => text) : [];
}

function line({ severity, what, next }: Finding): string {
  return `${severity === "problem" ? "!" : "-"} ${what}. ${next}`;
}
