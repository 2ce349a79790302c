/** Many servers at a steady pace, and one client that floods its own: what the others notice, and what memory does. */
import { join } from "node:path";
import { Callers, type Figures } from "./callers.ts";
import { Ground, memoryOf } from "./ground.ts";

export interface NeighboursAsked {
  servers: number;
  /** All of them together. */
  callsPerSecond: number;
  /** Without the flooder, then with it. */
  quietMs: number;
  floodMs: number;
  runtime: "process" | "docker";
  /** What to start; a server that answers `echo`. */
  body: object;
}

export interface NeighboursOutcome {
  quiet: Figures;
  flooded: Figures;
  /** Calls per second of the flooder that were answered. */
  flood: number;
  /** MiB of the manager and of all bridges and servers, one look per tenth of the flood. */
  memory: { manager: number[]; others: number[] };
}

export const PLAIN = {
  image: `exec:${process.execPath}`,
  args: [join(import.meta.dir, "../fixtures/plain-server.ts")],
};

/** The flooder is one client of the last server; the others have one client each. */
export async function neighbours(asked: NeighboursAsked): Promise<NeighboursOutcome> {
  await using ground = await Ground.open({ runtime: asked.runtime });
  const names = Array.from({ length: asked.servers }, (_, at) => `server-${at}`);
  for (const name of names) await ground.start(name, asked.body);
  const [last = "", ...others] = names.toReversed();
  await using steady = await Callers.steady(ground, others, (1000 * others.length) / asked.callsPerSecond);
  await Bun.sleep(Math.min(1_000, asked.quietMs / 4));
  await steady.figures();
  await Bun.sleep(asked.quietMs);
  const quiet = await steady.figures();
  await using flooder = await Callers.flood(ground, last);
  await Bun.sleep(Math.min(2_000, asked.floodMs / 4));
  await steady.figures();
  await flooder.figures();
  const startedAt = performance.now();
  const memory: NeighboursOutcome["memory"] = { manager: [], others: [] };
  for (let look = 1; look <= 10; look += 1) {
    await Bun.sleep(startedAt + (asked.floodMs * look) / 10 - performance.now());
    memory.manager.push(memoryOf(ground.pid));
    memory.others.push(ground.offspring().reduce((sum, pid) => sum + memoryOf(pid), 0));
  }
  const flooded = await steady.figures();
  const flood = (await flooder.figures()).calls / ((performance.now() - startedAt) / 1000);
  return { quiet, flooded, flood, memory };
}
