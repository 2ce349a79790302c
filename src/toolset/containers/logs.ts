import * as v from "valibot";
import { type ContainerLogLine, openLogs } from "../../docker/logs.ts";
import { output } from "../output.ts";
import { moment } from "../times.ts";
import { tool, type ToolCall } from "../tool.ts";
import { containerId, findContainer } from "./common.ts";

/** Kept of a log that is read at once; beyond it the oldest lines go. */
export const LINES_MAX = 10_000;
const FOLLOW_S = 10;
const FOLLOW_S_MAX = 60;

export const containerLogsTool = tool({
  name: "docker_container_logs",
  category: "containers",
  title: "Log of a container",
  description:
    "What a container has written to stdout and stderr. With follow it waits for new lines, for follow_seconds at most. Take tail to see the newest lines only.",
  level: "safe",
  time: "long",
  input: v.strictObject({
    container_id: containerId,
    tail: v.optional(
      v.pipe(
        v.union([
          v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(LINES_MAX)),
          v.literal("all"),
          v.pipe(v.string(), v.regex(/^\d{1,5}$/)),
        ]),
        v.description(`The newest lines, or all (${LINES_MAX} at most)`),
      ),
      "all",
    ),
    since: moment,
    until: moment,
    timestamps: v.optional(v.pipe(v.boolean(), v.description("The time of each line in the text, too")), false),
    follow: v.optional(v.boolean(), false),
    follow_seconds: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(FOLLOW_S_MAX)), FOLLOW_S),
  }),
  output: output({
    lines: v.array(
      v.object({
        at: v.pipe(v.string(), v.description("ISO 8601")),
        source: v.picklist(["stdout", "stderr"]),
        text: v.string(),
      }),
    ),
    timestamps: v.boolean(),
  }),
  example: { container_id: "web", tail: 100 },
  async handle({ container_id, tail, since, until, timestamps, follow, follow_seconds }, call) {
    const { Id, Config } = await findContainer(container_id, call);
    const over = new AbortController();
    const end = AbortSignal.any([call.signal, over.signal]);
    const request = {
      follow,
      since,
      until,
      tail: tail === "all" ? undefined : Number(tail),
      terminal: Config.Tty,
    };
    const lines = await openLogs(await call.engine(), Id, request, call.deadline, end);
    // From here on: how long it took to open the log is not the caller's time.
    const timer = follow ? setTimeout(() => over.abort(), follow_seconds * 1000) : undefined;
    const kept = await newest(lines, end, call).finally(() => clearTimeout(timer));
    return {
      lines: kept.map(({ at, source, text }) => ({ at: new Date(at).toISOString(), source, text })),
      timestamps,
    };
  },
  text: ({ lines, timestamps }) =>
    lines.length === 0
      ? "The log is empty."
      : lines.map(({ at, text }) => (timestamps ? `${at} ${text}` : text)).join("\n"),
});

/** A stream that ends because its time is over ends as if there were no more lines. */
export async function newest<L extends ContainerLogLine>(
  lines: AsyncIterable<L>,
  end: AbortSignal,
  call: ToolCall,
): Promise<L[]> {
  const kept: L[] = [];
  try {
    for await (const line of lines) {
      kept.push(line);
      if (kept.length > 2 * LINES_MAX) kept.splice(0, LINES_MAX);
    }
  } catch (error) {
    if (!end.aborted || call.signal.aborted) throw error;
  }
  return kept.slice(-LINES_MAX);
}
