/** Seals what is kept on the disk, so that only what Linkspan itself has written there is ever acted on. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { Fault } from "../base/fault.ts";

const KEY_BYTES = 32;

/** The key in a file of its own, 0600; made at the first use, once, whoever else is making it. Faults: `forbidden`. */
export async function sealKey(file: string): Promise<Buffer> {
  const found = await readFile(file).catch(() => undefined);
  if (found) return checked(found, file);
  const fresh = `${file}.${crypto.randomUUID()}`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(fresh, randomBytes(KEY_BYTES), { mode: 0o600, flag: "wx" });
    // Fails where somebody was faster: then that one is the key.
    await link(fresh, file).catch(() => undefined);
  } finally {
    await rm(fresh, { force: true });
  }
  await chmod(file, 0o600);
  return checked(await readFile(file), file);
}

function checked(key: Buffer, file: string): Buffer {
  if (key.byteLength === KEY_BYTES) return key;
  throw new Fault("forbidden", `${file} is damaged`, { hint: "Remove it; what was sealed with it is lost." });
}

export function sealOf(key: Buffer, content: string): string {
  return createHmac("sha256", key).update(content).digest("base64url");
}

/** In a time that does not tell where they differ. */
export function sealFits(key: Buffer, content: string, seal: string): boolean {
  const expected = Buffer.from(sealOf(key, content));
  const given = Buffer.from(seal);
  return expected.byteLength === given.byteLength && timingSafeEqual(expected, given);
}

export async function fileSum(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
