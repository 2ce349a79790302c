/** What the CLI needs of the engine and must not import itself (src/cli/command.ts `Services`). */
import { dataDir } from "./base/data-dir.ts";
import { Deadline } from "./base/deadline.ts";
import type { EngineCheck } from "./cli/command.ts";
import { findEndpoint, formatEndpoint, isLocal } from "./docker/endpoint.ts";
import { Engine } from "./docker/engine.ts";
import { removeVolume } from "./docker/volumes.ts";
import { bridgeFilesFor } from "./runtime/docker/bridge-release.ts";
import { DockerRuntime } from "./runtime/docker/docker.ts";
import { copyToVolume } from "./runtime/process/folder-volume.ts";
import type { Report } from "./runtime/runtime.ts";
import { Gate } from "./safety/gate.ts";
import { readSafety } from "./safety/settings.ts";
import { type WrapRequest, wrapImage } from "./runtime/docker/wrap.ts";

const PROBE_MS = 10_000;
const COPY_MS = 60_000;
/** The image may have to be pulled first. */
const WRAP_MS = 600_000;

export async function checkEngine(): Promise<EngineCheck> {
  await using runtime = new DockerRuntime({ instance: "doctor00", dataDir: "" });
  const { unenforced = [], version, api, os, arch, direct, warnings } = await runtime.probe(Deadline.in(PROBE_MS));
  const endpoint = findEndpoint(process.env);
  const [address, local] = [formatEndpoint(endpoint), isLocal(endpoint)];
  return { address, local, version, api, os, arch, direct, warnings, unenforced };
}

/** A volume with a copy of the folder; disposing of it removes it. */
export async function folderVolume(folder: string, name: string): Promise<AsyncDisposable> {
  const engine = await Engine.connect(findEndpoint(process.env), Deadline.in(PROBE_MS));
  const remove = () => removeVolume(engine, name, Deadline.in(COPY_MS));
  try {
    await copyToVolume(engine, folder, name, Deadline.in(COPY_MS));
  } catch (error) {
    await remove().catch(() => undefined);
    throw error;
  }
  return { [Symbol.asyncDispose]: remove };
}

export async function wrap(request: WrapRequest, report: Report): Promise<string> {
  const gate = new Gate(readSafety(process.env, "owner"), dataDir());
  const pass = await gate.enter({ name: "docker_build_image", level: "moderate" }, "wrap", request);
  const engine = await Engine.connect(findEndpoint(process.env), Deadline.in(PROBE_MS));
  const deadline = Deadline.in(WRAP_MS);
  const source = { url: process.env["LINKSPAN_RELEASE_URL"], dataDir: dataDir() };
  return await pass(async () =>
    wrapImage(engine, await bridgeFilesFor(engine.arch, source, report, deadline), request, report, deadline),
  );
}
