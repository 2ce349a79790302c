/** Tools that put a volume's files into an archive and back. */
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { gzip } from "../../base/gzip.ts";
import { VERSION } from "../../base/version.ts";
import { inspectVolume, volumeUses } from "../../docker/volumes.ts";
import { writeBackup } from "../../model/backup.ts";
import { BackupReader } from "../../model/backup-read.ts";
import { archiveFile, archiveToRead, archiveToWrite } from "../files.ts";
import { judgeVolume } from "../mounts.ts";
import { output } from "../output.ts";
import { type Planned, tool, type ToolCall } from "../tool.ts";
import { protect } from "../undo/keep.ts";
import { findVolume, volumeName } from "./common.ts";

async function refuseUsers(name: string, writersOnly: boolean, call: ToolCall): Promise<void> {
  const uses = await volumeUses(await call.engine(), name, call.deadline);
  const user = uses.find(({ running, readOnly }) => running && !(writersOnly && readOnly));
  if (!user) return;
  throw new Fault("conflict", `the container ${user.container} runs with the volume ${name}`, {
    hint: "Stop it first with docker_stop_container.",
  });
}

export const backupVolumeTool = tool({
  name: "docker_backup_volume",
  category: "volumes",
  title: "Back up a volume",
  description:
    "Writes all files of a volume into an archive on this machine, with a checksum. No container may be writing to it; an existing file is left alone.",
  level: "moderate",
  time: "long",
  input: v.strictObject({ volume_name: volumeName, file: archiveFile }),
  output: output({ file: v.string(), bytes: v.number() }),
  example: { volume_name: "data", file: "data.tar.gz" },
  async handle({ volume_name, file }, call) {
    await judgeVolume(await findVolume(volume_name, call), true, call);
    await refuseUsers(volume_name, true, call);
    const path = await archiveToWrite(file, call.settings);
    if (await stat(path).catch(() => undefined))
      throw new Fault("conflict", `${file} exists already`, { hint: "Name another file." });
    const facts = { format: 1, volume: volume_name, created: new Date().toISOString(), linkspan: VERSION } as const;
    const archive = Readable.from(gzip(writeBackup(facts, (await call.volumes()).read(volume_name, call.signal))), {
      objectMode: false,
    });
    let bytes = 0;
    archive.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      call.report({ text: `backing up ${volume_name}`, current: bytes });
    });
    const part = `${path}.${crypto.randomUUID()}.part`;
    try {
      await pipeline(archive, createWriteStream(part, { mode: 0o600 }), { signal: call.signal });
      await rename(part, path);
    } finally {
      await rm(part, { force: true });
    }
    return { file: path, bytes };
  },
  text: ({ file, bytes }) => `${file}, ${Math.round(bytes / 1e3)} kB`,
});

export const restoreVolumeTool = tool({
  name: "docker_restore_volume",
  category: "volumes",
  title: "Restore a volume",
  description:
    "Puts the files of a backup in the place of all that a volume has, or makes the volume. It has its old files until the whole backup was found right; docker_undo is left for what was replaced.",
  level: "destructive",
  time: "long",
  input: v.strictObject({ volume_name: volumeName, file: archiveFile }),
  output: output({
    volume: v.string(),
    created: v.boolean(),
    entries: v.number(),
    bytes: v.number(),
    undo: v.optional(v.string()),
  }),
  example: { volume_name: "data", file: "data.tar.gz" },
  async plan({ volume_name, file }, call) {
    await archiveToRead(file, call.settings);
    const found = await inspectVolume(await call.engine(), volume_name, call.deadline);
    const objects: Planned[] = found
      ? [
          {
            kind: "volume",
            id: volume_name,
            name: volume_name,
            detail: `all its files are replaced by those of ${file}`,
          },
        ]
      : [];
    return { summary: found ? `Replace the files of ${volume_name}.` : `Make the volume ${volume_name}.`, objects };
  },
  async handle({ volume_name: name, file }, call) {
    const path = await archiveToRead(file, call.settings);
    const engine = await call.engine();
    const volumes = await call.volumes();
    const before = await inspectVolume(engine, name, call.deadline);
    await judgeVolume(before, false, call);
    await refuseUsers(name, false, call);
    const undo =
      before &&
      (await protect("docker_restore_volume", `Replace the files of ${name}.`, call, async (keeper) => [
        { ...(await keeper.volume(before)), replace: true },
      ]));
    if (!before) await volumes.create(name, call.deadline);
    try {
      const reader = new BackupReader(createReadStream(path));
      await volumes.replace(name, reader.parts(), call.signal);
      const { entries = 0, bytes = 0 } = reader.content ?? {};
      return { volume: name, created: !before, entries, bytes, ...(undo === undefined ? {} : { undo }) };
    } catch (error) {
      // The volume has what it had: there is nothing to undo, and nothing was made.
      if (undo !== undefined) await call.recovery.remove(undo);
      if (!before) await volumes.remove(name, call.deadline).catch(() => {});
      throw error;
    }
  },
  text: ({ volume, entries, bytes }) => `${volume} has ${entries} files and folders, ${Math.round(bytes / 1e3)} kB`,
});
