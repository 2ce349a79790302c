/** Events: what happened to servers and sessions. */
import * as v from "valibot";
import type { Events } from "../../manager/manager.ts";
import { type EventView, eventView } from "../../model/views.ts";
import { flag, whole } from "../query.ts";
import { eventsResponse, SSE_TYPE, wants } from "../responses.ts";
import { route } from "../route.ts";

const EVENTS_MAX = 10_000;

export const eventRoutes = [
  route({
    method: "GET",
    path: "/events",
    id: "events",
    summary: "The latest events, oldest first; with Accept: text/event-stream or follow, each new one as it happens",
    query: v.strictObject({
      /** At most so many of the past; 100, or none in a stream. */
      limit: v.optional(whole(0, EVENTS_MAX)),
      /** Go on with new events. */
      follow: v.optional(flag, "false"),
    }),
    answers: "The events.",
    answer: v.array(eventView),
    also: { [SSE_TYPE]: eventView },
    run: ({ manager, ending, query, request }) => {
      const { events } = manager;
      if (!query.follow && !wants(request, SSE_TYPE)) return events.recent(query.limit ?? 100);
      return eventsResponse(ending, (gone) => pastAndNew(events, query.limit ?? 0, gone));
    },
  }),
];

/** Subscribes before it looks back, in one turn of the event loop: nothing is missed, nothing comes twice. */
async function* pastAndNew(events: Events, limit: number, signal: AbortSignal): AsyncGenerator<EventView> {
  const coming = events.subscribe(signal)[Symbol.asyncIterator]();
  let next = coming.next();
  try {
    yield* limit > 0 ? events.recent(limit) : [];
    for (let item = await next; !item.done; item = await next) {
      yield item.value;
      next = coming.next();
    }
  } finally {
    await coming.return?.();
  }
}
