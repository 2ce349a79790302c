/** Runs volume-swap.ts where a volume's files are: in a container that has our own executable and that volume, no more. */
import { type Deadline, sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { ContainerConfig } from "../../docker/container-config.ts";
import { createContainer, inspectContainer, startContainer, waitForEnd } from "../../docker/containers.ts";
import type { Engine } from "../../docker/engine.ts";
import { openLogs } from "../../docker/logs.ts";
import { discardContainer, ensureBlankImage } from "./carrier.ts";
import { BRIDGE_HOME, LAUNCH } from "./inject.ts";
import { LABEL, MANAGED_BY } from "../labels.ts";
import { ownerLabel } from "../owner.ts";
import { VOLUME_HOME } from "./volume-swap.ts";

const POLL_MS = 100;
/** Created and not started for so long: whoever made it is gone. */
const STALE_MS = 60_000;
const MEMORY_BYTES = 256 * 1024 * 1024;

export interface Swap {
  volume: string;
  bridgeVolume: string;
  action: "take" | "drop";
  /** The folder in the volume's root. */
  stage: string;
}

/** One at a time per volume, whichever manager asks: the container's name is the lock. Fault `engine-failed` with what it said. */
export async function runSwap(engine: Engine, swap: Swap, deadline: Deadline): Promise<void> {
  const config = configOf(swap, await ensureBlankImage(engine, deadline));
  const id = await createOnly(engine, `linkspan-swap-${swap.volume}`, config, deadline);
  try {
    await startContainer(engine, id, deadline);
    const code = await waitForEnd(engine, id, deadline);
    if (code === 0) return;
    const said = await lastWords(engine, id, deadline).catch(() => "");
    throw new Fault("engine-failed", `the files in the volume ${swap.volume} could not be exchanged: ${said || code}`);
  } finally {
    await discardContainer(engine, id);
  }
}

async function createOnly(engine: Engine, name: string, config: ContainerConfig, deadline: Deadline): Promise<string> {
  while (true) {
    try {
      return await createContainer(engine, name, config, deadline);
    } catch (error) {
      if (!(error instanceof Fault) || error.kind !== "conflict") throw error;
    }
    const other = await inspectContainer(engine, name, deadline);
    const isRunning = other?.State.Status === "running";
    const isStale = other && !isRunning && Date.parse(other.Created) < Date.now() - STALE_MS;
    if (isStale) await discardContainer(engine, other.Id);
    if (deadline.passed) throw deadline.fault(`waiting for ${name}`);
    await sleep(POLL_MS, deadline.signal);
  }
}

function configOf({ volume, bridgeVolume, action, stage }: Swap, image: string): ContainerConfig {
  return {
    Image: image,
    Entrypoint: [...LAUNCH, "volume-swap"],
    Cmd: [action, stage],
    User: "0:0",
    Labels: { [LABEL.managedBy]: MANAGED_BY, [LABEL.carrier]: action, [LABEL.owner]: ownerLabel() },
    HostConfig: {
      Memory: MEMORY_BYTES,
      MemorySwap: MEMORY_BYTES,
      PidsLimit: 64,
      CapDrop: ["ALL"],
      // Files belong to anybody: to move and remove them, and to give the root folder back its owner and its bits.
      CapAdd: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"],
      SecurityOpt: ["no-new-privileges"],
      ReadonlyRootfs: true,
      NetworkMode: "none",
      LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "1" } },
      Mounts: [
        { Type: "volume", Source: bridgeVolume, Target: BRIDGE_HOME, ReadOnly: true },
        { Type: "volume", Source: volume, Target: VOLUME_HOME, ReadOnly: false },
      ],
    },
  };
}

async function lastWords(engine: Engine, id: string, deadline: Deadline): Promise<string> {
  const lines: string[] = [];
  for await (const { text } of await openLogs(engine, id, { tail: 5 }, deadline, deadline.signal)) lines.push(text);
  return lines.join(" ");
}
