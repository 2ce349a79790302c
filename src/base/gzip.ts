/** gzip (RFC 1952) as streams that go no faster than they are read. */
import { pipeline, Readable, type Transform } from "node:stream";
import { createGunzip, createGzip } from "node:zlib";
import { Fault } from "./fault.ts";

/** Nearly as small as the default level 6, in half the time. */
const LEVEL = 3;
const CHUNK_BYTES = 256 * 1024;

export function gzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  return through(source, createGzip({ level: LEVEL, chunkSize: CHUNK_BYTES }));
}

/** Fault `invalid` where it is no gzip, damaged or cut off. */
export async function* gunzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* through(source, createGunzip({ chunkSize: CHUNK_BYTES }));
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "";
    if (!code.startsWith("Z_")) throw cause;
    throw new Fault("invalid", "the archive is no gzip file, or it is damaged or cut off", { cause });
  }
}

async function* through(source: AsyncIterable<Uint8Array>, transform: Transform): AsyncGenerator<Uint8Array> {
  const garbage = new Garbage();
  // Its errors come out of the loop below.
  pipeline(Readable.from(garbage.of(source), { objectMode: true, highWaterMark: 1 }), transform, () => {});
  yield* garbage.of(transform);
}

/**
 * Buffers lie outside the heap by whose growth Bun decides when to collect garbage: a stream of 300 MB left 200 MB of them
 * lying about. Collecting once for so many bytes holds it at 40 MB, and costs some 10 ms each time.
 */
class Garbage {
  private static readonly BYTES = 8 * 1024 * 1024;
  private bytes = 0;

  async *of(chunks: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      if (!(chunk instanceof Uint8Array)) continue;
      yield chunk;
      this.bytes += chunk.length;
      if (this.bytes < Garbage.BYTES) continue;
      this.bytes = 0;
      Bun.gc(true);
    }
  }
}
