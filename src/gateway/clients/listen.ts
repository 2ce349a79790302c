/** `subscriptions/listen`: acknowledged first, then what has changed, until either side ends it. */
import * as v from "valibot";
import type { Filter, Note } from "../exchange.ts";
import type { Attached } from "./attachments.ts";
import { invalid } from "./envelope.ts";
import { type Id, noteText } from "./message.ts";
import { META, withMeta } from "./meta.ts";

/** What happens before the acknowledgement waits for it; the oldest is dropped. */
const EARLY_MAX = 256;
const URIS_MAX = 256;

const filter = v.object({
  toolsListChanged: v.optional(v.boolean()),
  promptsListChanged: v.optional(v.boolean()),
  resourcesListChanged: v.optional(v.boolean()),
  resourceSubscriptions: v.optional(v.pipe(v.array(v.string()), v.maxLength(URIS_MAX))),
});
const listenParams = v.object({ notifications: filter });

export interface Listening {
  attached: Attached;
  id: Id;
  params: unknown;
  emit(text: string): void;
  signal: AbortSignal;
}

/** The result with which the server has ended it; never resolves before that. Throws an `RpcFault` for wrong params. */
export async function serveListen({ attached, id, params, emit, signal }: Listening): Promise<string> {
  const read = v.safeParse(listenParams, params);
  if (!read.success) throw invalid("notifications has to be a filter of what is listened to");
  const wanted = wantedOf(read.output.notifications);
  const over = Promise.withResolvers<void>();
  let early: Note[] | undefined = [];
  const say = ({ method, params }: Note) => emit(noteText({ method, params: withMeta(params, META.subscription, id) }));
  const hear = (note: Note) => {
    if (signal.aborted) return;
    if (!early) return say(note);
    if (early.push(note) > EARLY_MAX) early.shift();
  };
  const end = () => over.resolve();
  signal.addEventListener("abort", end, { once: true });
  try {
    const granted = Object.keys(wanted).length > 0 ? await attached.attachment.listen(wanted, hear, signal, end) : {};
    say({ method: "notifications/subscriptions/acknowledged", params: { notifications: granted } });
    const waiting = early;
    early = undefined;
    for (const note of waiting) say(note);
    // Nothing will ever be said.
    if (Object.keys(granted).length === 0) end();
    await over.promise;
  } finally {
    signal.removeEventListener("abort", end);
  }
  return JSON.stringify({ resultType: "complete", _meta: { [META.subscription]: id } });
}

/** Only what is asked for. */
function wantedOf({ resourceSubscriptions: uris, ...kinds }: v.InferOutput<typeof filter>): Filter {
  return {
    ...(kinds.toolsListChanged ? { toolsListChanged: true } : {}),
    ...(kinds.promptsListChanged ? { promptsListChanged: true } : {}),
    ...(kinds.resourcesListChanged ? { resourcesListChanged: true } : {}),
    ...(uris && uris.length > 0 ? { resourceSubscriptions: [...new Set(uris)] } : {}),
  };
}
