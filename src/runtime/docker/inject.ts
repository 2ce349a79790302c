/**
 * Injection: a container of any image is started with the bridge as its entrypoint. The bridge comes from a read-only
 * volume that holds the executable with a loader and a C library of its own, so that the image needs none.
 */
import { BRIDGE_PORT } from "../../../bridge/wire.ts";
import type { Deadline } from "../../base/deadline.ts";
import { sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { archiveOf, entriesOf } from "../../docker/archive.ts";
import { inspectContainer, putArchive, readPath } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { createVolume, inspectVolume, listVolumes, removeVolume, type VolumeInfo } from "../../docker/volumes.ts";
import type { BridgeFiles } from "./bridge-files.ts";
import { discardContainer, removeAbandoned, withCarrier } from "./carrier.ts";
import { removeAbandonedBuilds } from "./builds.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import type { Report } from "../runtime.ts";

/** Where the volume is mounted in every container. */
export const BRIDGE_HOME = "/.linkspan";
/** The executable through its own loader: nothing of the image's is used, not even where the image has the same C library. */
export const LAUNCH = [`${BRIDGE_HOME}/ld.so`, "--library-path", `${BRIDGE_HOME}/lib`, `${BRIDGE_HOME}/linkspan`];
/** Written last: a volume with it is complete. */
const MARKER = "complete";
/** A filler that was seen for so long without an end has lost its manager. */
const FILL_MS = 120_000;
const POLL_MS = 100;
/** An unused bridge of another version is removed at this age. */
const OLD_MS = 24 * 3_600_000;

export interface BridgeOptions {
  tokenSha256: string;
  messageBytes: number;
  stopMs: number;
  /** 0: none. */
  leaseMs: number;
  /** Whether sessions share one server process. */
  policy: "process" | "shared";
  /** Server processes to keep started ahead. */
  spare: number;
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
    ...(options.leaseMs > 0 ? ["--lease-ms", String(options.leaseMs)] : []),
    ...(options.policy === "process" ? [] : ["--policy", options.policy]),
    ...(options.spare > 0 ? ["--spare", String(options.spare)] : []),
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
 * A volume that holds these files, completely. Managers that do this at the same time for the same files agree through
 * a container's name, which the engine gives only once: one fills, the others wait.
 */
export async function ensureBridgeVolume(
  engine: Engine,
  files: BridgeFiles,
  report: Report,
  deadline: Deadline,
): Promise<VolumeInfo> {
  const name = volumeName(files);
  const wait = new Wait();
  while (true) {
    const found = await inspectVolume(engine, name, deadline);
    if (found && (await isComplete(engine, name, deadline))) return found;
    const made = await createVolume(
      engine,
      name,
      { [LABEL.managedBy]: MANAGED_BY, [LABEL.bridge]: files.version },
      deadline,
    );
    const takenBy = await fill(engine, name, files, report, deadline);
    if (takenBy === undefined) {
      await removeOldBridges(engine, name, deadline);
      return made;
    }
    report({ step: "bridge", detail: "another manager is copying the bridge into the engine" });
    if (wait.isOver(takenBy)) await discardContainer(engine, takenBy);
    if (deadline.passed) throw deadline.fault(`waiting for the volume ${name}`);
    await sleep(POLL_MS, deadline.signal);
  }
}

/** Fills the volume; or the id of the container by which somebody else is filling it. */
async function fill(
  engine: Engine,
  volume: string,
  files: BridgeFiles,
  report: Report,
  deadline: Deadline,
): Promise<string | undefined> {
  const name = `${volume}-fill`;
  try {
    await withCarrier(engine, { volume, target: BRIDGE_HOME, readOnly: false, name }, deadline, async (id) => {
      // Between the look at the volume and the claim another manager may have finished.
      if (await readPath(engine, id, `${BRIDGE_HOME}/${MARKER}`, 1, deadline)) return;
      report({ step: "bridge", detail: `copying the bridge into the volume ${volume}` });
      const executable = { kind: "file", name: "linkspan", path: files.executable, mode: 0o755 } as const;
      await putArchive(engine, id, BRIDGE_HOME, archiveOf([...(await entriesOf(files.loader)), executable]), deadline);
      const marker = { kind: "bytes", name: MARKER, bytes: Buffer.from(files.hash) } as const;
      await putArchive(engine, id, BRIDGE_HOME, archiveOf([marker]), deadline);
    });
    return undefined;
  } catch (error) {
    if (!(error instanceof Fault) || error.kind !== "conflict") throw error;
    return (await inspectContainer(engine, name, deadline))?.Id ?? "";
  }
}

async function isComplete(engine: Engine, volume: string, deadline: Deadline): Promise<boolean> {
  return withCarrier(engine, { volume, target: BRIDGE_HOME, readOnly: true }, deadline, async (id) => {
    await removeAbandoned(engine, deadline);
    await removeAbandonedBuilds(engine, deadline);
    return (await readPath(engine, id, `${BRIDGE_HOME}/${MARKER}`, 1, deadline)) !== undefined;
  });
}

/** For how long the same container has been in the way. */
class Wait {
  private id = "";
  private since = 0;

  isOver(id: string): boolean {
    if (id !== this.id) [this.id, this.since] = [id, performance.now()];
    return id !== "" && performance.now() - this.since > FILL_MS;
  }
}

/** Each version leaves some 110 MB behind. One that a container still has, or may be about to get, stays. */
async function removeOldBridges(engine: Engine, current: string, deadline: Deadline): Promise<void> {
  for (const { Name, CreatedAt } of await listVolumes(engine, { label: [LABEL.bridge] }, deadline)) {
    if (Name === current || !(Date.parse(CreatedAt) < Date.now() - OLD_MS)) continue;
    await removeVolume(engine, Name, deadline).catch(() => {});
  }
}
