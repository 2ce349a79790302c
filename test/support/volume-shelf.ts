/** Volumes for tests: filled and read without the code under test (GNU tar, tar-stream), and removed at the end. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import { Deadline } from "../../src/base/deadline.ts";
import { TAR_END, tarHeader } from "../../src/base/tar.ts";
import { at, listContainers, putArchive } from "../../src/docker/containers.ts";
import { createVolume, removeVolume, volumeUses } from "../../src/docker/volumes.ts";
import { openCarrier } from "../../src/runtime/docker/carrier.ts";
import { LABEL, MANAGED_BY } from "../../src/runtime/labels.ts";
import { entry, type Forged, header } from "./backups.ts";
import { tempDir } from "./cli.ts";
import { engine } from "./engine.ts";

const soon = () => Deadline.in(60_000);

export class VolumeShelf implements AsyncDisposable {
  private readonly names: string[] = [];

  /** A name that is removed at the end, whoever makes the volume. */
  name(): string {
    const name = `linkspan-test-${crypto.randomUUID()}`;
    this.names.push(name);
    return name;
  }

  /** A volume as Linkspan makes one for a server (or as another program does), with these entries in it. */
  async make(entries: readonly (Forged | Uint8Array)[] = [], managed = true): Promise<string> {
    const name = this.name();
    await createVolume(engine(), name, managed ? { [LABEL.managedBy]: MANAGED_BY } : {}, soon());
    if (entries.length > 0) await this.put(name, entries);
    return name;
  }

  /** Adds entries; their names begin with `volume/`. */
  async put(name: string, entries: readonly (Forged | Uint8Array)[]): Promise<void> {
    await this.unpack(name, [...entries.map((one) => (one instanceof Uint8Array ? one : entry(one))), TAR_END]);
  }

  /** Adds the file `volume/large` of so many pieces of 64 KiB, every other one of which no compression makes smaller. */
  async putLarge(name: string, pieces: number): Promise<void> {
    const noise = crypto.getRandomValues(Buffer.alloc(65_536));
    const zeros = Buffer.alloc(65_536);
    const archive = function* () {
      yield tarHeader(header({ name: "volume/large", size: pieces * noise.length }));
      for (let at = 0; at < pieces; at++) yield at % 2 === 0 ? noise : zeros;
      yield TAR_END;
    };
    await this.unpack(name, archive());
  }

  private async unpack(name: string, archive: Iterable<Uint8Array>): Promise<void> {
    await using carrier = await openCarrier(engine(), { volume: name, target: "/volume", readOnly: false }, soon());
    await putArchive(engine(), carrier.id, "/", Readable.from(archive, { objectMode: false }), soon());
  }

  /** Everything about every file as GNU tar shows it, and the hash of each content. */
  async look(name: string): Promise<string[]> {
    await using folder = await tempDir("volume");
    const file = join(folder.path, "volume.tar");
    await using carrier = await openCarrier(engine(), { volume: name, target: "/volume", readOnly: true }, soon());
    const request = {
      what: "looking",
      method: "GET",
      path: at(carrier.id, "archive"),
      query: { path: "/volume" },
    } as const;
    await pipeline(await engine().stream(request, soon(), soon().signal), createWriteStream(file));
    const flags = ["--numeric-owner", "--full-time", "--quoting-style=escape", "-tvf", file];
    const child = Bun.spawn(["tar", ...flags], { env: { ...process.env, TZ: "UTC", LC_ALL: "C" } });
    const lines = (await child.stdout.text()).trimEnd().split("\n");
    const hashes: string[] = [];
    const reader = createReadStream(file).pipe(extract());
    for await (const one of reader) {
      const hash = createHash("sha256");
      for await (const chunk of one) hash.update(chunk as Uint8Array);
      hashes.push(hash.digest("hex").slice(0, 16));
    }
    return lines.map((line, index) => `${line} ${hashes[index]}`);
  }

  /** Our own containers that still have the volume: there should be none when the work is over. */
  async tools(name: string): Promise<string[]> {
    const uses = await volumeUses(engine(), name, soon());
    const swaps = await listContainers(engine(), { name: [`linkspan-swap-${name}`] }, soon());
    return [
      ...uses.filter(({ labels }) => !labels[LABEL.server]).map(({ container }) => container),
      ...swaps.map(({ Id }) => Id),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.names) await removeVolume(engine(), name, soon());
  }
}
