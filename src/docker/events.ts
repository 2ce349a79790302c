/** The engine's event stream, one connection's worth: whoever reads it decides when to begin anew and from when. */
import * as v from "valibot";
import type { Deadline } from "../base/deadline.ts";
import type { Engine } from "./engine.ts";
import type { Filters } from "./containers.ts";
import { linesOf } from "./progress.ts";

const engineEvent = v.looseObject({
  Type: v.string(),
  Action: v.string(),
  Actor: v.looseObject({ ID: v.string() }),
  /** Unix seconds by the engine's clock. */
  time: v.number(),
});
export type EngineEvent = v.InferOutput<typeof engineEvent>;

/** Opens the stream: once this resolves, no later event is missed. `since` in unix seconds of the engine's clock. */
export async function openEvents(
  engine: Engine,
  filters: Filters,
  since: number | undefined,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<AsyncIterable<EngineEvent>> {
  const query = { filters: JSON.stringify(filters), since };
  const what = "following the engine's events";
  const stream = await engine.stream({ what, method: "GET", path: "/events", query }, deadline, signal);
  return parsed(linesOf(stream, what));
}

async function* parsed(lines: AsyncIterable<string>): AsyncIterable<EngineEvent> {
  for await (const line of lines) {
    const event = v.safeParse(v.pipe(v.string(), v.parseJson(), engineEvent), line);
    if (event.success) yield event.output;
  }
}
