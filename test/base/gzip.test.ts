/** gzip as streams: complete or a fault, no faster than its reader, and closed when its reader leaves. */
import { expect, test } from "bun:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { Fault } from "../../src/base/fault.ts";
import { gunzip, gzip } from "../../src/base/gzip.ts";
import { inPieces } from "../support/backups.ts";
import { rejection } from "../support/rejection.ts";
import { until } from "../support/until.ts";

const MIB = 1024 * 1024;
const noise = crypto.getRandomValues(Buffer.alloc(65_536));

async function whole(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(chunks));
}

/** RFC 1952: the last eight bytes are the checksum and the length. */
function otherChecksum(packed: Buffer): Buffer {
  return Buffer.from(packed).fill(0xaa, packed.length - 8, packed.length - 4);
}

test("what is packed is unpacked, in pieces of any size", async () => {
  const content = Buffer.concat([noise, Buffer.alloc(MIB), noise]);
  const packed = await whole(gzip(inPieces(content, 1000)));
  expect(gunzipSync(packed).equals(content)).toBeTrue();
  expect((await whole(gunzip(inPieces(packed, 777)))).equals(content)).toBeTrue();
  expect(await whole(gunzip(gzip(inPieces(Buffer.alloc(0)))))).toEqual(Buffer.alloc(0));
});

test.each([
  ["no gzip", Buffer.from("plain text that is no gzip at all")],
  ["nothing", Buffer.alloc(0)],
  ["a cut one", gzipSync(noise).subarray(0, 1000)],
  ["one with another checksum", otherChecksum(gzipSync(noise))],
])("%s is refused", async (_, bytes) => {
  expect(await rejection(whole(gunzip(inPieces(bytes))))).toMatchObject({ kind: "invalid" });
});

test("a source that fails is the failure, as it is", async () => {
  const fault = new Fault("timeout", "nothing came");
  const failing = async function* () {
    yield gzipSync(noise).subarray(0, 100);
    throw fault;
  };
  expect(await rejection(whole(gunzip(failing())))).toBe(fault);
  expect(await rejection(whole(gzip(failing())))).toBe(fault);
});

test("a reader that takes its time holds the source back, and its leaving closes it", async () => {
  let given = 0;
  let closed = false;
  const endless = async function* () {
    try {
      for (;;) {
        given += noise.length;
        yield noise;
      }
    } finally {
      closed = true;
    }
  };
  const packed = gzip(endless());
  expect((await packed.next()).done).toBeFalse();
  let before = -1;
  await until("a source that waits", async () => {
    const waits = given === before;
    before = given;
    await Bun.sleep(50);
    return waits;
  });
  expect(given).toBeLessThan(4 * MIB);
  await packed.return(undefined);
  await until("a closed source", () => closed);
});
