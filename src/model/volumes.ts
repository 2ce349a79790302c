/** Volumes over REST: what is shown of them, and what a restore says. */
import * as v from "valibot";
import { backupContent } from "./backup.ts";
import { BACKUP_LIMITS } from "./backup-rules.ts";
import { byteSize } from "./units.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Docker's own pattern for the names of volumes, and a limit. */
export const volumeName = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/, "expected the name of a volume: a-z A-Z 0-9 _ . -"),
);

export const ARCHIVE_TYPE = "application/gzip";
/** The longest backup that a restore takes, packed. */
export const ARCHIVE_BYTES_MAX = 64 * 1024 ** 3;
/** A backup or a restore in which nothing moves for so long is ended. */
export const ARCHIVE_STALL_MS = 60_000;

/** One entry of `GET /volumes`. */
export const volumeView = v.object({
  name: v.string(),
  driver: v.string(),
  /** Unix milliseconds, where the engine says. */
  created: v.optional(v.number()),
  /** Whether Linkspan has made it. */
  managed: v.boolean(),
  /** Containers that have it, running or not. */
  usedBy: v.array(
    v.object({
      container: v.string(),
      /** The server's name, where it is one of Linkspan's. */
      server: v.optional(v.string()),
      running: v.boolean(),
      readOnly: v.boolean(),
    }),
  ),
});
export type VolumeView = v.InferOutput<typeof volumeView>;

/** `GET /volumes/:name` */
export const volumeDetails = v.object({
  ...volumeView.entries,
  labels: v.record(v.string(), v.string()),
  /** On the engine's disk; absent where the engine cannot say. */
  bytes: v.optional(count),
});
export type VolumeDetails = v.InferOutput<typeof volumeDetails>;

/** Answer of `POST /volumes/:name/restore`. */
export const volumeRestored = v.object({
  name: v.string(),
  /** Whether there was no such volume before. */
  created: v.boolean(),
  /** What the backup holds, and when and of which volume it was made. */
  backup: backupContent,
});
export type VolumeRestored = v.InferOutput<typeof volumeRestored>;

/** `?maxSize=` and `--max-size`: bytes, or a size with a unit. */
export const maxSize = v.pipe(
  v.string(),
  v.transform((text) => (/^\d+$/.test(text) ? Number(text) : text)),
  byteSize(1, 1024 ** 5),
);

/** Who says how much there may be has seen the archive: then the ratio is no question any more. */
export function backupLimits(bytesMax: number | undefined) {
  return bytesMax === undefined ? BACKUP_LIMITS : { entries: BACKUP_LIMITS.entries, bytes: bytesMax };
}
