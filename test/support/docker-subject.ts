/** The Docker runtime as tests open it: with the compiled executable as its bridge, because the tests run from source. */
import { join } from "node:path";
import { type BridgeFiles, describeBridge } from "../../src/runtime/docker/bridge-files.ts";
import { type DockerOptions, DockerRuntime } from "../../src/runtime/docker/docker.ts";
import { BINARY } from "./binary.ts";

let files: Promise<BridgeFiles> | undefined;

export function testBridge(): Promise<BridgeFiles> {
  const loader = join(import.meta.dir, "../../.cache/loader", `linux-${process.arch}`, "loader.tar");
  files ??= Bun.file(loader)
    .bytes()
    .then((bytes) => describeBridge(BINARY, bytes));
  return files;
}

export function open(options: DockerOptions): DockerRuntime {
  return new DockerRuntime({ bridge: testBridge, ...options });
}
