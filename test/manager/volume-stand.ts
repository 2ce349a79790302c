import { gunzipSync, gzipSync } from "node:zlib";
import { EventLog } from "../../src/manager/events.ts";
import { type RestoreOptions, Volumes } from "../../src/manager/volumes.ts";
import { inPieces } from "../support/backups.ts";
import { DockerBench } from "../support/docker-bench.ts";
import { engine } from "../support/engine.ts";
import { scratchImage } from "../support/images.ts";
import { VolumeShelf } from "../support/volume-shelf.ts";

export const never = () => new AbortController().signal;
export const PLAIN: RestoreOptions = { force: false, outwardLinks: false };
export const FORCED: RestoreOptions = { ...PLAIN, force: true };

/** A Docker runtime, the manager's volumes on it, and volumes to try them with. */
export class Stand implements AsyncDisposable {
  readonly events = new EventLog();
  readonly shelf = new VolumeShelf();
  readonly volumes: Volumes;

  private constructor(readonly bench: DockerBench) {
    this.volumes = new Volumes(bench.runtime, this.events, async () => {});
  }

  static async open(): Promise<Stand> {
    return new Stand(await DockerBench.open());
  }

  async backup(name: string, force = false): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of await this.volumes.backup(name, force, never())) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  restore(name: string, archive: Uint8Array | AsyncIterable<Uint8Array>, options = PLAIN, signal = never()) {
    const source = archive instanceof Uint8Array ? inPieces(archive) : archive;
    return this.volumes.restore(name, source, options, signal);
  }

  /** A server that runs with the volume. */
  async running(volume: string, access = "rw") {
    return this.bench.running({ image: await scratchImage(engine()), volumes: [`${volume}:/data:${access}`] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bench[Symbol.asyncDispose]();
    await this.shelf[Symbol.asyncDispose]();
  }
}

/** The archive in two parts that both unpack by themselves, so that the first is seen before the second has come. */
export async function* inHalves(archive: Uint8Array, between: () => Promise<void>): AsyncGenerator<Uint8Array> {
  const unpacked = gunzipSync(archive);
  yield gzipSync(unpacked.subarray(0, 2048));
  await between();
  yield gzipSync(unpacked.subarray(2048));
}
