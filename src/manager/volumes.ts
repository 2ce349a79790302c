/**
 * Volumes of servers: listed, backed up, restored, removed. Here is what may be done to which volume; how it is done is the
 * runtime's part.
 */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { gzip } from "../base/gzip.ts";
import { similar } from "../base/similar.ts";
import type { TarPart } from "../base/tar.ts";
import { VERSION } from "../base/version.ts";
import { writeBackup } from "../model/backup.ts";
import { BackupReader } from "../model/backup-read.ts";
import { backupLimits, type VolumeDetails, type VolumeRestored, type VolumeView } from "../model/volumes.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { StoredVolume, VolumeStore } from "../runtime/volume-store.ts";
import type { EventLog } from "./events.ts";

/** Looking at a volume before and after something long. */
const LOOK_MS = 60_000;

export interface RestoreOptions {
  force: boolean;
  /** Take symbolic links that lead out of the volume. */
  outwardLinks: boolean;
  /** Content, unpacked; the usual limits when absent. */
  bytesMax?: number | undefined;
}

export class Volumes {
  constructor(
    private readonly runtime: Runtime,
    private readonly events: EventLog,
    /** Resolves when the manager takes work, and rejects when it takes none any more. */
    private readonly admitted: (deadline: Deadline) => Promise<void>,
  ) {}

  /** Those that Linkspan has made, or all of the engine, by name. Fault `unsupported` where the runtime has none. */
  async list(all: boolean, deadline: Deadline): Promise<VolumeView[]> {
    await this.admitted(deadline);
    const found = (await this.store().list(deadline)).filter(({ managed }) => all || managed);
    return found.map(viewOf).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Faults: `not-found`; `forbidden` for one that is not ours, without `force`. */
  async inspect(name: string, force: boolean, deadline: Deadline): Promise<VolumeDetails> {
    const found = await this.get(name, force, deadline);
    const bytes = await this.store().measure(name, deadline);
    return { ...viewOf(found), labels: found.labels, ...(bytes === undefined ? {} : { bytes }) };
  }

  /**
   * The backup as a gzip file, made as it is read. Faults before its first byte: `not-found`, `forbidden`, `conflict` when a
   * server that runs may write to it. Without `force` it also fails when such a server was started meanwhile.
   */
  async backup(name: string, force: boolean, signal: AbortSignal): Promise<AsyncGenerator<Uint8Array>> {
    const store = this.store();
    const found = await this.get(name, force, Deadline.in(LOOK_MS, signal));
    if (!force) refuseWriters(found, "its backup would be of no single moment");
    const lookAgain = async () => {
      const now = force ? undefined : await store.find(name, Deadline.in(LOOK_MS, signal));
      if (now) refuseWriters(now, "it was started while the backup was made");
    };
    const facts = { format: 1, volume: name, created: new Date().toISOString(), linkspan: VERSION } as const;
    const archive = gzip(writeBackup(facts, thenLook(store.read(name, signal), lookAgain)));
    return this.told(archive, name);
  }

  /**
   * Puts what is in the backup in the place of what is in the volume, which is made where there is none. The volume has
   * its old files until everything was read and found right. Faults: `invalid` and `too-large` for the backup,
   * `forbidden`, `conflict` for a volume with files in it or a server that runs with it, without `force`.
   */
  async restore(
    name: string,
    archive: AsyncIterable<Uint8Array>,
    { force, outwardLinks, bytesMax }: RestoreOptions,
    signal: AbortSignal,
  ): Promise<VolumeRestored> {
    const store = this.store();
    const looking = Deadline.in(LOOK_MS, signal);
    await this.admitted(looking);
    const before = await store.find(name, looking);
    if (before && !force) {
      refuseForeign(before);
      refuseUsers(before);
      await this.refuseFilled(name, signal);
    }
    const reader = new BackupReader(archive, { limits: backupLimits(bytesMax), outwardLinks });
    const parts = reader.parts();
    // Before anything is made: what is no backup at all shows in its first bytes.
    const first = await Deadline.in(LOOK_MS, signal).race(`the beginning of the backup for ${name}`, parts.next());
    if (!before) await store.create(name, Deadline.in(LOOK_MS, signal));
    try {
      const whole = thenLook(startingWith(first, parts), async () => {
        const now = force ? undefined : await store.find(name, Deadline.in(LOOK_MS, signal));
        if (now) refuseUsers(now);
      });
      await store.replace(name, whole, signal);
    } catch (error) {
      if (!before) await store.remove(name, Deadline.in(LOOK_MS)).catch(() => {});
      this.events.add("volume.failed", `the restore of the volume ${name} failed: ${Fault.from(error).message}`);
      throw error;
    }
    const { content } = reader;
    if (!content) throw new Fault("internal", "a backup was restored before its end was read");
    this.events.add("volume.restored", `the volume ${name} was restored`, {
      data: { entries: content.entries, bytes: content.bytes, made: content.created },
    });
    return { name, created: before === undefined, backup: content };
  }

  /** Faults: `not-found`, `forbidden`, and `conflict` while a container has it, running or not. */
  async remove(name: string, force: boolean, deadline: Deadline): Promise<void> {
    const { usedBy } = await this.get(name, force, deadline);
    const [user] = usedBy;
    if (user) {
      const hint = user.server === undefined ? `docker rm ${user.container}` : `linkspan rm ${user.server}`;
      throw new Fault("conflict", `the volume ${name} belongs to ${naming(user)}`, {
        hint: `remove that first: ${hint}`,
      });
    }
    await this.store().remove(name, deadline);
    this.events.add("volume.removed", `the volume ${name} was removed`);
  }

  private store(): VolumeStore {
    const { volumes, kind } = this.runtime;
    if (volumes) return volumes;
    throw new Fault("unsupported", `the runtime ${kind} has no volumes`, {
      hint: "its servers use folders of this machine; volumes need a container engine",
    });
  }

  private async get(name: string, force: boolean, deadline: Deadline): Promise<StoredVolume> {
    await this.admitted(deadline);
    const found = await this.store().find(name, deadline);
    if (found && !force) refuseForeign(found);
    if (found) return found;
    const near = similar(
      name,
      (await this.list(false, deadline)).map((volume) => volume.name),
    );
    const hint = near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "`linkspan volume ls` lists them";
    throw new Fault("not-found", `there is no volume ${name}`, { hint });
  }

  private async refuseFilled(name: string, signal: AbortSignal): Promise<void> {
    let entries = 0;
    for await (const part of this.store().read(name, signal)) {
      // The first is the volume's own folder.
      if (part.kind !== "entry" || ++entries < 2) continue;
      throw new Fault("conflict", `the volume ${name} has files in it`, {
        hint: "--force puts the backup in their place; they are lost then",
      });
    }
  }

  private async *told(archive: AsyncGenerator<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    try {
      for await (const chunk of archive) {
        bytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      // Whoever reads it sees only that it was cut.
      this.events.add("volume.failed", `the backup of the volume ${name} failed: ${Fault.from(error).message}`);
      throw error;
    }
    this.events.add("volume.backed-up", `the volume ${name} was backed up`, { data: { bytes } });
  }
}

function viewOf({ name, driver, created, managed, usedBy }: StoredVolume): VolumeView {
  return { name, driver, ...(created === undefined ? {} : { created }), managed, usedBy };
}

function naming({ server, container }: StoredVolume["usedBy"][number]): string {
  return server === undefined ? `the container ${container}` : `the server ${server}`;
}

function refuseForeign({ name, managed }: StoredVolume): void {
  if (managed) return;
  throw new Fault("forbidden", `the volume ${name} was not made by Linkspan`, {
    hint: "--force if it is really meant",
  });
}

function refuseWriters({ name, usedBy }: StoredVolume, why: string): void {
  const writer = usedBy.find(({ running, readOnly }) => running && !readOnly);
  if (!writer) return;
  throw new Fault("conflict", `${naming(writer)} runs and may write to the volume ${name}: ${why}`, stopHint(writer));
}

function refuseUsers({ name, usedBy }: StoredVolume): void {
  const user = usedBy.find(({ running }) => running);
  if (user) throw new Fault("conflict", `${naming(user)} runs with the volume ${name}`, stopHint(user));
}

function stopHint({ server, container }: StoredVolume["usedBy"][number]) {
  const stop = server === undefined ? `docker stop ${container}` : `linkspan stop ${server}`;
  return { hint: `stop it first: ${stop}; --force goes on without` };
}

async function* thenLook(parts: AsyncIterable<TarPart>, look: () => Promise<void>): AsyncGenerator<TarPart> {
  yield* parts;
  await look();
}

async function* startingWith(
  first: IteratorResult<TarPart, unknown>,
  rest: AsyncGenerator<TarPart>,
): AsyncGenerator<TarPart> {
  if (!first.done) yield first.value;
  yield* rest;
}
