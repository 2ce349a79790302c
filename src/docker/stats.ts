/** A container's resource use, computed as `docker stats` does. */
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import { at } from "./containers.ts";
import type { Engine } from "./engine.ts";

const number = v.optional(v.number(), 0);
const cpu = v.object({
  cpu_usage: v.optional(v.object({ total_usage: number }), {}),
  system_cpu_usage: number,
  online_cpus: number,
});
const sample = v.object({
  cpu_stats: cpu,
  precpu_stats: cpu,
  memory_stats: v.object({ usage: number, limit: number, stats: v.optional(v.record(v.string(), v.number()), {}) }),
  pids_stats: v.object({ current: number }),
});

export interface ContainerStats {
  memoryBytes: number;
  memoryLimitBytes: number;
  cpuPercent: number;
  pids: number;
}

/** Takes one to two seconds: the engine measures the processor's use between two samples. */
export async function containerStats(engine: Engine, id: string, deadline: Deadline): Promise<ContainerStats> {
  const query = { stream: false };
  const {
    cpu_stats: now,
    precpu_stats: before,
    memory_stats: memory,
    pids_stats: pids,
  } = await engine.call(
    { what: `measuring the container ${id}`, method: "GET", path: at(id, "stats"), query },
    sample,
    deadline,
  );
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const passed = now.system_cpu_usage - before.system_cpu_usage;
  // The page cache that can be given back at once: `total_inactive_file` in cgroup v1, `inactive_file` in v2.
  const cache = memory.stats["total_inactive_file"] ?? memory.stats["inactive_file"] ?? 0;
  return {
    memoryBytes: cache < memory.usage ? memory.usage - cache : memory.usage,
    memoryLimitBytes: memory.limit,
    cpuPercent: passed > 0 && used > 0 ? (used / passed) * (now.online_cpus || 1) * 100 : 0,
    pids: pids.current,
  };
}
