/** The files of the bridge for an engine's architecture: this executable itself where it can run there. */
import { createReadStream } from "node:fs";
import { TARGET, VERSION } from "../../base/version.ts";

export interface BridgeFiles {
  /** Path of the Linux executable on this machine. */
  executable: string;
  /** loader.tar: `ld.so` and `lib/…`, see build.ts. */
  loader: Uint8Array;
  version: string;
  /** Hex SHA-256 over both. */
  hash: string;
}

/** This executable and the loader inside it; undefined where it is no Linux build for that architecture. */
export async function ownBridgeFiles(arch: string): Promise<BridgeFiles | undefined> {
  const loader = Bun.embeddedFiles.find((file) => "name" in file && file.name === "loader.tar");
  if (TARGET !== `linux-${arch}` || !loader) return undefined;
  return describeBridge(process.execPath, await loader.bytes());
}

/** Reads the executable once for its hash, 0.1–0.3 s. */
export async function describeBridge(executable: string, loader: Uint8Array, version = VERSION): Promise<BridgeFiles> {
  const hash = new Bun.CryptoHasher("sha256").update(loader);
  for await (const chunk of createReadStream(executable, { highWaterMark: 4 * 1024 * 1024 })) hash.update(chunk);
  return { executable, loader, version, hash: hash.digest("hex") };
}
