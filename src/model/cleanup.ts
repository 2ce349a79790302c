/** `POST /cleanup`: what is to be removed, and what was. */
import * as v from "valibot";
import { imageRef } from "./server-spec.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Body of `POST /cleanup`. */
export const cleanupBody = v.strictObject({
  /** Only say what would be removed. */
  dryRun: v.optional(v.boolean(), false),
  /** Also orphans that do not answer, and containers of `image` that Linkspan has not made. */
  force: v.optional(v.boolean(), false),
  /** With `force`: an image whose containers were left behind by other means. */
  image: v.optional(imageRef),
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
