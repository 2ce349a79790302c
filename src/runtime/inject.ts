/**
 * Injection: a container of any image is started with the bridge as its entrypoint. The bridge comes from a read-only
 * volume that holds the executable with a loader and a C library of its own, so that the image needs none.
 */
import { BRIDGE_PORT } from "../../bridge/wire.ts";
import type { Deadline } from "../base/deadline.ts";
import { sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { archiveOf, entriesOf } from "../docker/archive.ts";
import { createContainer, putArchive, readPath, removeContainer } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";
import { importImage, inspectImage } from "../docker/images.ts";
import { createVolume, inspectVolume } from "../docker/volumes.ts";
import type { BridgeFiles } from "./bridge-files.ts";
import { LABEL, MANAGED_BY } from "./labels.ts";
import type { Report } from "./runtime.ts";

/** Where the volume is mounted in every container. */
export const BRIDGE_HOME = "/.linkspan";
/** The executable through its own loader: nothing of the image's is used, not even where the image has the same C library. */
export const LAUNCH = [`${BRIDGE_HOME}/ld.so`, "--library-path", `${BRIDGE_HOME}/lib`, `${BRIDGE_HOME}/linkspan`];
/** Written last: a volume with it is complete. */
const MARKER = "complete";
/** An image without a single program: containers that only carry volumes are made from it. */
export const BLANK_IMAGE = "linkspan/blank:1";
/** A filler that was seen for so long without an end has lost its manager. */
const FILL_MS = 120_000;
const POLL_MS = 100;

export interface BridgeOptions {
  tokenSha256: string;
  messageBytes: number;
  stopMs: number;
  /** Wait for a `configure` frame before the first server process. */
  awaitConfigure: boolean;
}

/** The container's entrypoint; the server's own argv follows it. */
export function bridgeCommand(options: BridgeOptions): string[] {
  return [
    ...LAUNCH,
    "bridge",
    "--listen",
    `0.0.0.0:${BRIDGE_PORT}`,
    "--token-sha256",
    options.tokenSha256,
    "--message-bytes",
    String(options.messageBytes),
    "--stop-ms",
    String(options.stopMs),
    ...(options.awaitConfigure ? ["--await-configure"] : []),
    "--",
  ];
}

/** Docker's form of the health check inside the container. */
export const HEALTH_COMMAND = ["CMD", ...LAUNCH, "health", `127.0.0.1:${BRIDGE_PORT}`];

export function volumeName(files: BridgeFiles): string {
  const version = files.version.replaceAll(/[^A-Za-z0-9_.-]/g, "-");
  return `linkspan-bridge-${version}-${files.hash.slice(0, 12)}`;
}

/**
 * The name of a volume that holds these files, completely. Managers that do this at the same time for the same files
 * agree through a container's name, which the engine gives only once: one fills, the others wait.
 */
export async function ensureBridgeVolume(
  engine: Engine,
  files: BridgeFiles,
  report: Report,
  deadline: Deadline,
): Promise<string> {
  const name = volumeName(files);
  await ensureBlankImage(engine, deadline);
  const labels = { [LABEL.managedBy]: MANAGED_BY, "linkspan.bridge": files.version };
  let holder: { id: string; since: number } | undefined;
  while (true) {
    if ((await inspectVolume(engine, name, deadline)) && (await isComplete(engine, name, deadline))) return name;
    await createVolume(engine, name, labels, deadline);
    const filler = await claim(engine, name, labels, deadline);
    if ("id" in filler) {
      await fill(engine, filler.id, name, files, report, deadline);
      return name;
    }
    if (holder?.id !== filler.takenBy) holder = { id: filler.takenBy, since: performance.now() };
    else if (performance.now() - holder.since > FILL_MS) await removeContainer(engine, holder.id, deadline);
    report({ step: "bridge", detail: "another manager is copying the bridge into the engine" });
    if (deadline.passed) throw deadline.fault(`waiting for the volume ${name}`);
    await sleep(POLL_MS, deadline.signal);
  }
}

type Claim = { id: string } | { takenBy: string };

/** The container whose name is the lock; or whose it is already. */
async function claim(
  engine: Engine,
  volume: string,
  labels: Record<string, string>,
  deadline: Deadline,
): Promise<Claim> {
  try {
    return { id: await createContainer(engine, `${volume}-fill`, carrier(volume, false, labels), deadline) };
  } catch (error) {
    if (!(error instanceof Fault) || error.kind !== "conflict") throw error;
    return { takenBy: /container "?([0-9a-f]{12,64})"?/.exec(error.message)?.[1] ?? `${volume}-fill` };
  }
}

async function fill(
  engine: Engine,
  id: string,
  volume: string,
  files: BridgeFiles,
  report: Report,
  deadline: Deadline,
): Promise<void> {
  try {
    // Between the look at the volume and the claim another manager may have finished.
    if (await readPath(engine, id, `${BRIDGE_HOME}/${MARKER}`, 1, deadline)) return;
    report({ step: "bridge", detail: `copying the bridge into the volume ${volume}` });
    const executable = { kind: "file", name: "linkspan", path: files.executable, mode: 0o755 } as const;
    await putArchive(engine, id, BRIDGE_HOME, archiveOf([...(await entriesOf(files.loader)), executable]), deadline);
    const marker = { kind: "bytes", name: MARKER, bytes: Buffer.from(files.hash) } as const;
    await putArchive(engine, id, BRIDGE_HOME, archiveOf([marker]), deadline);
  } finally {
    await removeContainer(engine, id, deadline);
  }
}

async function isComplete(engine: Engine, volume: string, deadline: Deadline): Promise<boolean> {
  const id = await createContainer(
    engine,
    undefined,
    carrier(volume, true, { [LABEL.managedBy]: MANAGED_BY }),
    deadline,
  );
  try {
    return (await readPath(engine, id, `${BRIDGE_HOME}/${MARKER}`, 1, deadline)) !== undefined;
  } finally {
    await removeContainer(engine, id, deadline);
  }
}

/** A container that is never started: it only makes the volume's files reachable through the archive calls. */
function carrier(volume: string, readOnly: boolean, labels: Record<string, string>) {
  return {
    Image: BLANK_IMAGE,
    Cmd: ["never-started"],
    Labels: labels,
    HostConfig: {
      NetworkMode: "none",
      Mounts: [{ Type: "volume" as const, Source: volume, Target: BRIDGE_HOME, ReadOnly: readOnly }],
    },
  };
}

export async function ensureBlankImage(engine: Engine, deadline: Deadline): Promise<void> {
  if (await inspectImage(engine, BLANK_IMAGE, deadline)) return;
  const archive = archiveOf([{ kind: "folder", name: BRIDGE_HOME.slice(1) }]);
  await importImage(engine, archive, BLANK_IMAGE, [`LABEL ${LABEL.managedBy}=${MANAGED_BY}`], deadline);
}
