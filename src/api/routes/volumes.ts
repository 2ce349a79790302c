/** Volumes: the files of servers, which outlive them. Archives are streamed both ways. */
import * as v from "valibot";
import { withoutStall } from "../../base/stall.ts";
import { REQUEST_MS } from "../../model/rest.ts";
import {
  ARCHIVE_BYTES_MAX,
  ARCHIVE_STALL_MS,
  ARCHIVE_TYPE,
  maxSize,
  volumeDetails,
  volumeName,
  volumeRestored,
  volumeView,
} from "../../model/volumes.ts";
import { flag } from "../query.ts";
import { bytesResponse } from "../responses.ts";
import { route } from "../route.ts";

const params = { name: volumeName };
const force = v.optional(flag, "false");

export const volumeRoutes = [
  route({
    method: "GET",
    path: "/volumes",
    id: "volumes",
    summary: "The volumes that Linkspan has made for servers; with all, every volume of the engine",
    query: v.strictObject({ all: v.optional(flag, "false") }),
    waitMs: REQUEST_MS,
    answers: "The volumes, by name.",
    answer: v.array(volumeView),
    faults: ["unsupported", "unreachable"],
    run: ({ manager, query, deadline }) => manager.volumes.list(query.all, deadline),
  }),
  route({
    method: "GET",
    path: "/volumes/:name",
    id: "volume",
    summary: "One volume: who has it, its labels and its size",
    params,
    query: v.strictObject({ force }),
    waitMs: REQUEST_MS,
    answers: "The volume.",
    answer: volumeDetails,
    faults: ["not-found", "forbidden", "unsupported", "unreachable"],
    run: ({ manager, name, query, deadline }) => manager.volumes.inspect(name, query.force, deadline),
  }),
  route({
    method: "GET",
    path: "/volumes/:name/backup",
    id: "backupVolume",
    summary: "The files of a volume as a tar.gz with a checksum in it",
    params,
    query: v.strictObject({ force }),
    level: "moderate",
    tool: "docker_backup_volume",
    answers: "The archive. One that ends without its checksum was broken off: see the events.",
    also: { [ARCHIVE_TYPE]: "text" },
    faults: ["not-found", "forbidden", "conflict", "unsupported", "unreachable", "engine-failed"],
    run: async ({ manager, name, query, signal }) =>
      await bytesResponse(await manager.volumes.backup(name, query.force, signal), ARCHIVE_TYPE, `${name}.tar.gz`),
  }),
  route({
    method: "POST",
    path: "/volumes/:name/restore",
    id: "restoreVolume",
    summary: "Put the files of a backup in the place of all that a volume has; it is made where there is none",
    params,
    query: v.strictObject({ force, outwardLinks: v.optional(flag, "false"), maxSize: v.optional(maxSize) }),
    level: "destructive",
    tool: "docker_restore_volume",
    upload: { type: ARCHIVE_TYPE, bytesMax: ARCHIVE_BYTES_MAX },
    answers: "What was restored. After any failure the volume has the files that it had.",
    answer: volumeRestored,
    faults: ["forbidden", "conflict", "too-large", "unsupported", "unreachable", "engine-failed", "timeout"],
    run: ({ manager, name, query, upload, signal }) => {
      const { maxSize: bytesMax, ...options } = query;
      const archive = withoutStall(upload, ARCHIVE_STALL_MS, `the backup for ${name}`);
      return manager.volumes.restore(name, archive, { ...options, bytesMax }, signal);
    },
  }),
  route({
    method: "DELETE",
    path: "/volumes/:name",
    id: "removeVolume",
    level: "destructive",
    tool: "docker_remove_volume",
    summary: "Remove a volume with all its files",
    params,
    query: v.strictObject({ force }),
    waitMs: REQUEST_MS,
    answers: "It is gone.",
    faults: ["not-found", "forbidden", "conflict", "unsupported", "unreachable"],
    run: async ({ manager, name, query, deadline }) => {
      await manager.volumes.remove(name, query.force, deadline);
      return undefined;
    },
  }),
];
