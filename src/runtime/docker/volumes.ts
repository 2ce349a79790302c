/**
 * Volumes of a Docker engine as streams of files. They are read and filled through the engine's archive calls on a
 * container that has the volume and is never started, because there may be no image with a `tar` in it.
 */
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { withoutStall } from "../../base/stall.ts";
import type { TarPart } from "../../base/tar.ts";
import { readTar } from "../../base/tar-read.ts";
import { archiveOf } from "../../docker/archive.ts";
import { at, putArchive } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import {
  createVolume,
  inspectVolume,
  listVolumes,
  removeVolume,
  type VolumeInfo,
  type VolumeUse,
  volumeBytes,
  volumeUses,
} from "../../docker/volumes.ts";
import { tarOf } from "../../model/backup.ts";
import { BACKUP_STAGE } from "../../model/backup-rules.ts";
import { openCarrier } from "./carrier.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import type { StoredVolume, VolumeStore } from "../volume-store.ts";
import { runSwap } from "./volume-helper.ts";
import { VOLUME_HOME } from "./volume-swap.ts";

/** Single calls of the engine. */
const CALL_MS = 60_000;
/** No byte for so long, from the engine or for it: it hangs. */
const STALL_MS = 60_000;
/** Exchanging and removing files: a million of them take a while. */
const SWAP_MS = 900_000;
/** However large: at the slowest disk that makes sense, a terabyte. */
const WRITE_MS = 24 * 3_600_000;

export class DockerVolumes implements VolumeStore {
  private readonly replacing = new Set<string>();

  constructor(
    private readonly engine: (deadline: Deadline) => Promise<Engine>,
    /** The name of the volume with our executable. */
    private readonly bridgeVolume: (engine: Engine, deadline: Deadline) => Promise<string>,
  ) {}

  async list(deadline: Deadline): Promise<StoredVolume[]> {
    const engine = await this.engine(deadline);
    const [volumes, uses] = await Promise.all([
      listVolumes(engine, {}, deadline),
      volumeUses(engine, undefined, deadline),
    ]);
    return volumes.map((volume) => storedVolume(volume, uses));
  }

  async find(name: string, deadline: Deadline): Promise<StoredVolume | undefined> {
    const engine = await this.engine(deadline);
    const found = await inspectVolume(engine, name, deadline);
    return found && storedVolume(found, await volumeUses(engine, name, deadline));
  }

  async measure(name: string, deadline: Deadline): Promise<number | undefined> {
    return volumeBytes(await this.engine(deadline), name, deadline);
  }

  async create(name: string, deadline: Deadline): Promise<void> {
    await createVolume(await this.engine(deadline), name, { [LABEL.managedBy]: MANAGED_BY }, deadline);
  }

  async remove(name: string, deadline: Deadline): Promise<void> {
    await removeVolume(await this.engine(deadline), name, deadline);
  }

  async *read(name: string, signal: AbortSignal): AsyncGenerator<TarPart> {
    const opening = Deadline.in(CALL_MS, signal);
    const engine = await this.engine(opening);
    const what = `reading the volume ${name}`;
    await using carrier = await openCarrier(engine, { volume: name, target: VOLUME_HOME, readOnly: true }, opening);
    const left = new AbortController();
    const ended = AbortSignal.any([signal, left.signal]);
    try {
      const request = { what, method: "GET", path: at(carrier.id, "archive"), query: { path: VOLUME_HOME } } as const;
      const archive = await engine.stream(request, opening, ended);
      yield* withoutStages(readTar(withoutStall(archive, STALL_MS, what)));
    } catch (error) {
      throw brokenWalk(error, name, signal);
    } finally {
      left.abort();
    }
  }

  async replace(name: string, parts: AsyncIterable<TarPart>, signal: AbortSignal): Promise<void> {
    if (this.replacing.has(name)) throw new Fault("conflict", `the volume ${name} is being restored already`);
    this.replacing.add(name);
    try {
      await this.stageAndSwap(name, parts, signal);
    } finally {
      this.replacing.delete(name);
    }
  }

  /** A server must not start on files that are about to go. Fault: `conflict`. */
  async admit(id: string, deadline: Deadline): Promise<void> {
    for (const name of this.replacing) {
      const uses = await volumeUses(await this.engine(deadline), name, deadline);
      if (!uses.some((use) => use.id === id)) continue;
      throw new Fault("conflict", `the volume ${name} is being restored`, {
        hint: "start the server when that is done",
      });
    }
  }

  private async stageAndSwap(name: string, parts: AsyncIterable<TarPart>, signal: AbortSignal): Promise<void> {
    const opening = Deadline.in(CALL_MS, signal);
    const engine = await this.engine(opening);
    // First, because without it nothing can be put in place.
    const bridgeVolume = await this.bridgeVolume(engine, opening);
    const stage = `${BACKUP_STAGE}${randomBytes(6).toString("hex")}`;
    const swap = { volume: name, bridgeVolume, stage };
    const fill = async () => {
      await using carrier = await openCarrier(engine, { volume: name, target: VOLUME_HOME, readOnly: false }, opening);
      const folder = archiveOf([{ kind: "folder", name: stage, mode: 0o700 }]);
      await putArchive(engine, carrier.id, VOLUME_HOME, folder, opening);
      await putFiles(engine, carrier.id, tarOf(parts, `${VOLUME_HOME.slice(1)}/${stage}/`), signal);
    };
    try {
      await fill();
      await runSwap(engine, { ...swap, action: "take" }, Deadline.in(SWAP_MS));
    } catch (error) {
      // What cannot be removed now is removed by a later restore.
      await runSwap(engine, { ...swap, action: "drop" }, Deadline.in(SWAP_MS)).catch(() => {});
      throw error;
    }
  }
}

/** Fails when the engine takes nothing for a while: the source has its own deadlines. */
async function putFiles(
  engine: Engine,
  id: string,
  files: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const stalled = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const engineHas = (turn: boolean) => {
    clearTimeout(timer);
    if (turn) timer = setTimeout(() => stalled.abort(), STALL_MS);
  };
  const archive = async function* () {
    for await (const bytes of files) {
      engineHas(true);
      yield bytes;
      engineHas(false);
    }
    engineHas(true);
  };
  try {
    const deadline = Deadline.in(WRITE_MS, AbortSignal.any([signal, stalled.signal]));
    // At the root, because the engine looks for the target of a hard link from there and else takes its set-user-id bit.
    await putArchive(engine, id, "/", Readable.from(archive(), { objectMode: false }), deadline);
  } catch (error) {
    if (!stalled.signal.aborted) throw error;
    throw new Fault("timeout", `the engine has taken no file for ${STALL_MS / 1000} s`, { cause: error });
  } finally {
    engineHas(false);
  }
}

function storedVolume({ Name, Driver, CreatedAt, Labels }: VolumeInfo, uses: VolumeUse[]): StoredVolume {
  const labels = Labels ?? {};
  const created = Date.parse(CreatedAt);
  return {
    name: Name,
    driver: Driver,
    ...(Number.isNaN(created) ? {} : { created }),
    labels,
    // The bridge's volume is a part of Linkspan, and nobody's data.
    managed: labels[LABEL.managedBy] === MANAGED_BY && labels[LABEL.bridge] === undefined,
    usedBy: uses.filter((use) => use.volume === Name && !isOurTool(use)).map(userOf),
  };
}

function userOf({ container, labels, running, readOnly }: VolumeUse) {
  const server = labels[LABEL.server];
  return { container, ...(server === undefined ? {} : { server }), running, readOnly };
}

/** Carriers and the like: they come and go with what is done to the volume. */
function isOurTool({ labels }: VolumeUse): boolean {
  return labels[LABEL.managedBy] === MANAGED_BY && labels[LABEL.server] === undefined;
}

/** What waits for a restore to end, or was left by one, is no part of the volume. */
async function* withoutStages(parts: AsyncIterable<TarPart>): AsyncGenerator<TarPart> {
  const prefix = `${VOLUME_HOME.slice(1)}/${BACKUP_STAGE}`;
  let skipped = false;
  for await (const part of parts) {
    if (part.kind === "entry") skipped = part.header.name.startsWith(prefix);
    if (!skipped) yield part;
  }
}

function brokenWalk(error: unknown, name: string, signal: AbortSignal): Fault {
  if (signal.aborted) return new Fault("cancelled", `reading the volume ${name} was cancelled`, { cause: error });
  const fault = Fault.from(error);
  if (fault.kind !== "invalid" && fault.kind !== "internal") return fault;
  return new Fault("engine-failed", `the engine broke off while it read the volume ${name}: ${fault.message}`, {
    hint: "a file that changes while it is read does this: stop what writes to the volume",
    cause: error,
  });
}
