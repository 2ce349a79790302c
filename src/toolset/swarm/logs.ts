import * as v from "valibot";
import { openServiceLogs } from "../../docker/logs.ts";
import { LINES_MAX, newest } from "../containers/logs.ts";
import { output } from "../output.ts";
import { moment } from "../times.ts";
import { tool } from "../tool.ts";
import { findService, serviceId } from "./common.ts";

const FOLLOW_S = 10;
const FOLLOW_S_MAX = 60;
/** A node that is gone never says that its log has ended. */
const READ_MS = 20_000;

export const serviceLogsTool = tool({
  name: "docker_service_logs",
  category: "swarm",
  title: "Log of a service",
  description:
    "What all tasks of a service have written to stdout and stderr, on all nodes, in the order of time. With follow it waits for new lines, for follow_seconds at most.",
  level: "safe",
  time: "long",
  input: v.strictObject({
    service_id: serviceId,
    tail: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(LINES_MAX),
        v.description(`The newest lines of each task; all (${LINES_MAX} at most) without it`),
      ),
    ),
    since: moment,
    timestamps: v.optional(v.pipe(v.boolean(), v.description("The time of each line in the text, too")), false),
    follow: v.optional(v.boolean(), false),
    follow_seconds: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(FOLLOW_S_MAX)), FOLLOW_S),
  }),
  output: output({
    lines: v.array(
      v.object({
        at: v.pipe(v.string(), v.description("ISO 8601")),
        task: v.string(),
        source: v.picklist(["stdout", "stderr"]),
        text: v.string(),
      }),
    ),
    complete: v.pipe(v.boolean(), v.description("false where a node did not answer in time")),
    timestamps: v.boolean(),
  }),
  example: { service_id: "web", tail: 100 },
  async handle({ service_id, tail, since, timestamps, follow, follow_seconds }, call) {
    const { ID, Spec } = await findService(service_id, call);
    const over = AbortSignal.timeout(follow ? follow_seconds * 1000 : READ_MS);
    const end = AbortSignal.any([call.signal, over]);
    const request = { follow, since, tail, terminal: Spec.TaskTemplate.ContainerSpec?.TTY ?? false };
    const lines = await openServiceLogs(await call.engine(), ID, request, call.deadline, end);
    const kept = (await newest(lines, end, call)).toSorted((left, right) => left.at - right.at);
    return {
      lines: kept.map(({ at, task, source, text }) => ({ at: new Date(at).toISOString(), task, source, text })),
      complete: follow || !over.aborted,
      timestamps,
    };
  },
  text: ({ lines, complete, timestamps }) => {
    const shown = lines.map(({ at, task, text }) => `${timestamps ? `${at} ` : ""}${task.slice(0, 12)}  ${text}`);
    const rest = complete ? [] : ["A node did not answer in time: its lines may be missing."];
    return [...(shown.length === 0 ? ["The log is empty."] : shown), ...rest].join("\n");
  },
});
