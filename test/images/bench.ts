/** The images of images/, built and run through the engine's API. */
import { afterAll } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import type { Entry } from "../../src/docker/archive.ts";
import type { ContainerConfig } from "../../src/docker/container-config.ts";
import {
  createContainer,
  inspectContainer,
  readPath,
  removeContainer,
  startContainer,
} from "../../src/docker/containers.ts";
import { removeImage } from "../../src/docker/images.ts";
import { openLogs } from "../../src/docker/logs.ts";
import { removeVolume } from "../../src/docker/volumes.ts";
import type { Address } from "../../src/runtime/runtime.ts";
import { type Build, buildImage } from "../support/build-image.ts";
import { testBridge } from "../support/docker-subject.ts";
import { engine, ENGINE } from "../support/engine.ts";
import { until } from "../support/until.ts";

const ROOT = join(import.meta.dir, "../..");
export const IMAGES = join(ROOT, "images");
export const RUN = randomBytes(4).toString("hex");
const MANAGER = `linkspan-test-manager:${RUN}`;
export const soon = (ms = 60_000) => Deadline.in(ms);
const BUILD_MS = 120_000;

const containers: string[] = [];
/** Tags and ids, parents first. */
const images: string[] = [];
export const volumes: string[] = [];

/** Removes what these tests have made: a test file calls it once. */
export function cleanUpAfterwards(): void {
  afterAll(async () => {
    if (!ENGINE) return;
    await Promise.all(containers.splice(0).map((id) => removeContainer(engine(), id, soon())));
    // A stage that is another's parent goes with it; one that is somebody else's cannot be removed, and stays.
    for (const ref of images.splice(0).toReversed()) await removeImage(ENGINE, ref, soon()).catch(() => {});
    for (const name of volumes.splice(0)) await removeVolume(ENGINE, name, soon());
    manager = undefined;
  }, 120_000);
}

/** Builds, and remembers what is to be removed. */
async function build(wanted: Build): Promise<string> {
  const made = await buildImage(engine(), wanted, soon(BUILD_MS));
  images.push(...made, wanted.tag);
  return wanted.tag;
}

let manager: Promise<string> | undefined;

/** images/manager as the repository's folder gives it, with the build under test as the release's. */
export function managerImage(): Promise<string> {
  manager ??= buildManager();
  return manager;
}

async function buildManager(): Promise<string> {
  const bridge = await testBridge();
  const target = `linux-${process.arch}`;
  const loader = process.arch === "arm64" ? "/lib/ld-linux-aarch64.so.1" : "/lib64/ld-linux-x86-64.so.2";
  const context: Entry[] = [
    { kind: "tree", name: "images", path: IMAGES },
    { kind: "file", name: `dist/linkspan-${target}`, path: bridge.executable, mode: 0o755 },
    { kind: "bytes", name: `dist/loader-${target}.tar`, bytes: bridge.loader },
  ];
  const args = { TARGET: target, LOADER: loader };
  return build({ context, dockerfile: "images/manager/Dockerfile", tag: MANAGER, args });
}

const CA = "/etc/ssl/certs/ca-certificates.crt";

/** The manager's image with this machine's certificate authorities in it: its way to the npm registry may need them. */
export async function trustingImage(): Promise<string> {
  const tag = `linkspan-test-trusting:${RUN}`;
  const from = await managerImage();
  const pem = await Bun.file(CA)
    .bytes()
    .catch(() => new Uint8Array());
  const dockerfile = `FROM ${from}\nCOPY ca.pem /etc/ca.pem\nENV NODE_EXTRA_CA_CERTS=/etc/ca.pem\n`;
  const context: Entry[] = [
    { kind: "bytes", name: "Dockerfile", bytes: Buffer.from(dockerfile) },
    { kind: "bytes", name: "ca.pem", bytes: pem },
  ];
  return build({ context, dockerfile: "Dockerfile", tag });
}

export async function derived(folder: string, args: Record<string, string>, from = managerImage()): Promise<string> {
  const context: Entry[] = [{ kind: "tree", name: ".", path: join(IMAGES, folder) }];
  const tag = `linkspan-test-${folder}:${RUN}`;
  return build({ context, dockerfile: "Dockerfile", tag, args: { LINKSPAN: await from, ...args } });
}

export async function run(config: ContainerConfig): Promise<string> {
  const id = await createContainer(engine(), `linkspan-test-${randomBytes(4).toString("hex")}`, config, soon());
  containers.push(id);
  await startContainer(engine(), id, soon());
  return id;
}

export async function logOf(id: string): Promise<string> {
  const lines = await Array.fromAsync(await openLogs(engine(), id, {}, soon(), soon().signal));
  return lines.map(({ text }) => text).join("\n");
}

export const stateOf = async (id: string) => (await inspectContainer(engine(), id, soon()))?.State;

export async function healthy(id: string): Promise<void> {
  const look = async () => {
    const state = await stateOf(id);
    if (state?.Status === "exited") throw new Error(`it ended with ${state.ExitCode}: ${await logOf(id)}`);
    return state?.Health?.Status === "healthy";
  };
  await until("healthy", look, 60_000);
}

export async function addressOf(id: string): Promise<Address[]> {
  const info = await inspectContainer(engine(), id, soon());
  const host = info?.NetworkSettings.Networks?.["bridge"]?.IPAddress ?? "";
  return [{ kind: "tcp", host, port: 5465 }];
}

/** A file with a token, at the place where the images look for it. */
export async function withToken(body: (token: string, mount: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-token-"));
  try {
    const token = randomBytes(24).toString("base64url");
    await Bun.write(join(folder, "token"), `${token}\n`);
    await body(token, `${folder}/token:/run/secrets/linkspan-token:ro`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The manager's, from its data directory. */
export async function readToken(id: string): Promise<string> {
  const file = await readPath(engine(), id, "/data/linkspan/token", 1_000, soon());
  return file?.content.toString().trim() ?? "";
}
