/** `POST /cleanup`: what is to be removed, and what was. */
import * as v from "valibot";
import { imageRef } from "./server-spec.ts";
import { budgetView, serverState } from "./views.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Body of `POST /cleanup`. */
export const cleanupBody = v.strictObject({
  /** Only say what would be removed. */
  dryRun: v.optional(v.boolean(), false),
  /** Also orphans that do not answer, and containers of `image` that Linkspan has not made. */
  force: v.optional(v.boolean(), false),
  /** With `force`: an image whose containers were left behind by other means. */
  image: v.optional(imageRef),
  /** Nothing but these of what would be removed, by their ids: what a dry run has shown to somebody. */
  only: v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(10_000))),
});
export type CleanupBody = v.InferOutput<typeof cleanupBody>;

export const cleanupItem = v.object({
  kind: v.picklist(["container", "network"]),
  id: v.string(),
  name: v.string(),
  server: v.optional(v.string()),
  /** The manager that it belongs to, or did. */
  instance: v.optional(v.string()),
  reason: v.picklist(["orphaned", "aged", "legacy"]),
  /** For people. */
  why: v.string(),
});
export type CleanupItem = v.InferOutput<typeof cleanupItem>;

/** Answer of `POST /cleanup`. */
export const cleanupReport = v.object({
  dryRun: v.boolean(),
  /** What is gone now; with `dryRun` what would be. */
  removed: v.array(cleanupItem),
  /** What should be gone and is not; `why` says what the engine said. */
  failed: v.array(cleanupItem),
  /** Containers and networks of any manager that stay. */
  kept: count,
  tookMs: count,
});
export type CleanupReport = v.InferOutput<typeof cleanupReport>;

/** `GET /status`: the whole at a glance. */
export const statusView = v.object({
  manager: v.object({
    version: v.string(),
    pid: count,
    /** Part of every name and label that it gives. */
    instance: v.string(),
    dataDir: v.string(),
    runtime: v.string(),
    /** Unix milliseconds. */
    since: v.number(),
    /** Of its own: without the program, which all of its processes share. */
    memoryBytes: count,
    ready: v.boolean(),
    /** Why it is not ready. */
    reason: v.optional(v.string()),
  }),
  /** Known servers by state; states without any are left out. */
  servers: v.record(serverState, v.optional(count)),
  /** Of the known servers. */
  containers: v.object({ running: count, ended: count }),
  sessions: count,
  budget: budgetView,
  /** Made by Linkspan; absent where the runtime has none, or the engine does not answer. */
  volumes: v.optional(count),
  cleanup: v.object({
    /** 0: only when somebody asks. */
    intervalMs: count,
    /** 0: never. */
    maxAgeMs: count,
    /** The last time that something was looked for in order to remove it. */
    last: v.optional(v.object({ at: v.number(), removed: count, failed: count })),
  }),
  /** What a cleanup would remove now; absent when the engine does not answer. */
  orphans: v.optional(v.array(cleanupItem)),
});
export type StatusView = v.InferOutput<typeof statusView>;
