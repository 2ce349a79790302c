/**
 * Which resources a modern client listens to. The SDK answers `subscriptions/listen` by itself and tells nobody, so its
 * messages are looked at on their way in.
 */
import * as v from "valibot";
import type { Toolset } from "../toolset.ts";
import { findResource } from "./serve.ts";

/** Of one `subscriptions/listen`; the acknowledgement names those that are watched. */
const URIS_MAX = 64;

const id = v.union([v.string(), v.number()]);
const listen = v.object({
  id,
  method: v.literal("subscriptions/listen"),
  params: v.object({
    notifications: v.object({ resourceSubscriptions: v.array(v.string()) }),
  }),
});
const cancelled = v.object({
  method: v.literal("notifications/cancelled"),
  params: v.object({ requestId: id }),
});

/**
 * Watches what the message listens to, and leaves nothing else in it: the SDK acknowledges what it finds there, so that a
 * client is told of what will be told. Undefined if the message does not listen; the answer ends it.
 */
export function watchListened(
  message: unknown,
  toolset: Toolset,
  updated: (uri: string) => void,
): { id: string | number; end(): void } | undefined {
  if (!v.is(listen, message)) return undefined;
  const { notifications } = message.params;
  const watched = new Map<string, () => void>();
  for (const uri of new Set(notifications.resourceSubscriptions)) {
    if (watched.size >= URIS_MAX) break;
    try {
      findResource(uri, toolset);
      watched.set(
        uri,
        toolset.watches.add(uri, () => updated(uri)),
      );
    } catch {
      // Nothing is ever said of what there is not, of what is not allowed, or of more than can be watched.
    }
  }
  notifications.resourceSubscriptions = [...watched.keys()];
  return { id: message.id, end: () => watched.forEach((end) => end()) };
}

/** One connection's listening, for as long as it lasts. */
export class Listening {
  private readonly open = new Map<string | number, () => void>();

  constructor(
    private readonly toolset: Toolset,
    private readonly updated: (uri: string) => void,
  ) {}

  look(message: unknown): void {
    const watched = watchListened(message, this.toolset, this.updated);
    if (watched) {
      this.open.get(watched.id)?.();
      this.open.set(watched.id, watched.end);
      return;
    }
    const ended = v.safeParse(cancelled, message);
    if (!ended.success) return;
    this.open.get(ended.output.params.requestId)?.();
    this.open.delete(ended.output.params.requestId);
  }

  /** The connection is over. */
  close(): void {
    for (const end of this.open.values()) end();
    this.open.clear();
  }
}
