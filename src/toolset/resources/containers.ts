/** `container://…`: the log and the use of resources of one container. */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import type { ContainerInfo } from "../../docker/containers.ts";
import { containerId, findContainer, nameOf } from "../containers/common.ts";
import { containerNames, logText } from "../prompts/state.ts";
import { containerStats } from "../../docker/stats.ts";
import type { ToolCall } from "../tool.ts";
import { followContainer, followLog, followStats } from "./follow.ts";
import type { ResourceTemplate, Variables } from "./resource.ts";

const LOG_LINES = 200;

export const containerLogs: ResourceTemplate = {
  name: "container_logs",
  template: "container://logs/{container_id}",
  title: "Log of a container",
  description: `The last ${LOG_LINES} lines of a container's log. Changes while the container writes.`,
  mimeType: "text/plain",
  list: everyContainer,
  complete: (_, __, call) => containerNames(call),
  read: async (variables, call) => logText(await containerOf(variables, call), call, LOG_LINES),
  watch: async (variables, watching) => {
    const { Id } = await containerOf(variables, watching.call);
    await followContainer(Id, watching, followLog);
  },
};

export const containerUse: ResourceTemplate = {
  name: "container_stats",
  template: "container://stats/{container_id}",
  title: "Resource use of a container",
  description: "Processor, memory and processes of a container. Changes while the container runs.",
  mimeType: "application/json",
  list: everyContainer,
  complete: (_, __, call) => containerNames(call),
  async read(variables, call) {
    const info = await containerOf(variables, call);
    const base = { id: info.Id, name: nameOf(info), state: info.State.Status };
    if (info.State.Status !== "running") return JSON.stringify(base);
    const found = await containerStats(await call.engine(), info.Id, call.deadline);
    return JSON.stringify({
      ...base,
      cpu_percent: Math.round(found.cpuPercent * 100) / 100,
      memory_bytes: found.memoryBytes,
      memory_limit_bytes: found.memoryLimitBytes,
      processes: found.pids,
    });
  },
  watch: async (variables, watching) => {
    const { Id } = await containerOf(variables, watching.call);
    await followContainer(Id, watching, followStats);
  },
};

async function everyContainer(call: ToolCall): Promise<Variables[]> {
  return (await containerNames(call)).map((container_id) => ({ container_id }));
}

async function containerOf(variables: Variables, call: ToolCall): Promise<ContainerInfo> {
  const asked = v.safeParse(containerId, variables["container_id"]);
  if (!asked.success) throw new Fault("not-found", "there is no container of that name");
  return findContainer(asked.output, call);
}
