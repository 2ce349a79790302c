import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { type ContainerStats, containerStats } from "../../docker/stats.ts";
import { output } from "../output.ts";
import { tool } from "../tool.ts";
import { containerId, findContainer, nameOf } from "./common.ts";

const SAMPLES = 5;
const SAMPLES_MAX = 30;

const sample = v.object({
  at: v.pipe(v.string(), v.description("ISO 8601")),
  cpu_percent: v.pipe(v.number(), v.description("100 is one full processor")),
  memory_bytes: v.pipe(v.number(), v.description("Without the page cache that can be given back")),
  memory_limit_bytes: v.number(),
  processes: v.number(),
});

export const containerStatsTool = tool({
  name: "docker_container_stats",
  category: "containers",
  title: "Resource use of a container",
  description:
    "Processor, memory and processes of a running container, measured once, or with stream several times in a row (samples, one to two seconds each).",
  level: "safe",
  time: "long",
  input: v.strictObject({
    container_id: containerId,
    stream: v.optional(v.boolean(), false),
    samples: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(SAMPLES_MAX)), SAMPLES),
  }),
  output: output({ samples: v.array(sample) }),
  example: { container_id: "web" },
  async handle({ container_id, stream, samples }, call) {
    const info = await findContainer(container_id, call);
    const { Id, State } = info;
    // The engine answers with zeros.
    if (State.Status === "exited" || State.Status === "created" || State.Status === "dead")
      throw new Fault("conflict", `${nameOf(info)} does not run: it is ${State.Status}`, {
        hint: "docker_start_container starts it.",
      });
    const engine = await call.engine();
    const taken: v.InferOutput<typeof sample>[] = [];
    const total = stream ? samples : 1;
    for (let current = 1; current <= total; current += 1) {
      taken.push(described(await containerStats(engine, Id, call.deadline)));
      call.report({ text: `sample ${current}`, current, total });
    }
    return { samples: taken };
  },
  text: ({ samples }) =>
    samples
      .map(
        ({ cpu_percent, memory_bytes, memory_limit_bytes, processes }) =>
          `cpu ${cpu_percent} %, memory ${mib(memory_bytes)} of ${mib(memory_limit_bytes)} MiB, ${processes} processes`,
      )
      .join("\n"),
});

function described({ cpuPercent, memoryBytes, memoryLimitBytes, pids }: ContainerStats): v.InferOutput<typeof sample> {
  return {
    at: new Date().toISOString(),
    cpu_percent: Math.round(cpuPercent * 100) / 100,
    memory_bytes: memoryBytes,
    memory_limit_bytes: memoryLimitBytes,
    processes: pids,
  };
}

function mib(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}
