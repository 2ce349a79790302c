/** What a server writes to stderr, and what its bridge has to say. */
import * as v from "valibot";
import { logLineView } from "../../model/rest.ts";
import { name } from "../../model/server-spec.ts";
import type { LogLine } from "../../runtime/runtime.ts";
import { flag, whole } from "../query.ts";
import { eventsResponse, linesResponse, SSE_TYPE, wants } from "../responses.ts";
import { route } from "../route.ts";

const TAIL_MAX = 1_000_000;

export const logRoutes = [
  route({
    method: "GET",
    path: "/servers/:name/logs",
    id: "logs",
    summary: "The log of a server, oldest line first; as server-sent events with Accept: text/event-stream or follow",
    params: { name },
    query: v.strictObject({
      /** Only the last lines. */
      tail: v.optional(whole(0, TAIL_MAX)),
      /** Go on with new lines. */
      follow: v.optional(flag, "false"),
      /** In the plain form, each line's time in front of it. */
      timestamps: v.optional(flag, "false"),
    }),
    answers: "The lines as text.",
    also: { "text/plain": "text", [SSE_TYPE]: logLineView },
    faults: ["not-found", "unreachable"],
    run: ({ manager, ending, name, query, request, signal }) => {
      const { tail, follow, timestamps } = query;
      // Before the stream begins, so that an unknown name is a plain 404.
      manager.server(name);
      const options = { follow, ...(tail === undefined ? {} : { tail }) };
      if (follow || wants(request, SSE_TYPE)) {
        return eventsResponse(ending, (gone) => manager.logs(name, { ...options, signal: gone }));
      }
      return linesResponse(asText(manager.logs(name, { ...options, signal }), timestamps));
    },
  }),
];

async function* asText(lines: AsyncIterable<LogLine>, timestamps: boolean): AsyncGenerator<string> {
  for await (const { at, text } of lines) yield timestamps ? `${new Date(at).toISOString()} ${text}` : text;
}
