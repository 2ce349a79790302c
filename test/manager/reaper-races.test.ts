/** 10,000 races between clients that want a session and the reaper that finds the server unused. */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SILENT } from "../../src/base/log.ts";
import { openDataDir } from "../../src/manager/data-dir.ts";
import { Manager } from "../../src/manager/manager.ts";
import { dialSession } from "../../src/transport/session.ts";
import { SEED } from "../support/seed.ts";
import { ModelEngine } from "./model-engine.ts";
import { parseSpec } from "./specs.ts";
import { quiet, soon } from "./stage.ts";

const RACES = 10_000;
/** Anything that was not used in this very moment is aged. */
const MAX_AGE_MS = 0.001;

test(`${RACES} races: no session is killed, and the reaper does win some`, async () => {
  process.stderr.write(`random test "${RACES} races": LINKSPAN_SEED=${SEED}\n`);
  const random = seededRandom(SEED);
  const turns = async (max = 6) => {
    for (let left = Math.floor(random() * max); left > 0; left -= 1)
      await new Promise((resolve) => setImmediate(resolve));
  };
  const folder = await mkdtemp(join(tmpdir(), "linkspan-races-"));
  const dataDir = openDataDir(join(folder, "data"), SILENT);
  const runtime = new ModelEngine(folder, turns);
  const servers = [parseSpec({ name: "racy", image: "any" })];
  const common = { servers, log: SILENT, allowWeaker: true, stopServersOnExit: true };
  const manager = new Manager({ runtime, dataDir, ...common, cleanup: { intervalMs: 0, maxAgeMs: MAX_AGE_MS } });
  const client = async (round: number) => {
    await turns(40);
    const request = { server: "racy", pid: process.pid, ppid: process.ppid };
    const { addresses, token, session } = await manager.acquire(request, "front", quiet, soon());
    await turns();
    const dialled = await dialSession({ addresses, token, session }, soon());
    const answered = Promise.withResolvers<string>();
    dialled.open({ line: answered.resolve, ended: (end) => answered.resolve(JSON.stringify(end)) });
    await turns();
    dialled.send(JSON.stringify({ round }));
    expect(await answered.promise).toBe(JSON.stringify({ round }));
    // In either order: released before the bridge has noticed the end of the session, and after.
    if (random() < 0.5) manager.release(session);
    dialled.detach();
    await turns();
    manager.release(session);
  };
  let reaped = 0;
  const reaper = async () => {
    await turns(40);
    const report = await manager.cleanup.run({ dryRun: false, force: false }, soon());
    expect(report.failed).toEqual([]);
    reaped += report.removed.length;
  };
  try {
    for (let round = 0; round < RACES; round += 1) await Promise.all([client(round), reaper()]);
    expect(runtime.killed).toBe(0);
    // Else nothing was tested.
    expect(reaped).toBeGreaterThan(RACES / 20);
    expect(reaped).toBeLessThan(RACES);
  } finally {
    await manager.close(soon());
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);

function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
