/** Sessions that begin and end in every way, kills included, one after the other on a manager that lives on: nothing is left of any. */
import { RawFront } from "../e2e/raw-front.ts";
import { BINARY } from "../support/binary.ts";
import { cleanEnv } from "../support/cli.ts";
import { random } from "../support/ordeal.ts";
import { until } from "../support/until.ts";
import { Caller } from "./caller.ts";
import { descriptorKinds, descriptorsOf, Ground, memoryOf, zombiesOf } from "./ground.ts";

export interface CyclesAsked {
  seed: number;
  cycles: number;
  lanes: number;
  servers: number;
  runtime: "process" | "docker";
  body: object;
}

const ENDS = [
  "front: stdin ends",
  "front: SIGKILL",
  "front: SIGKILL during a call",
  "server: SIGKILL",
  "bridge: SIGKILL",
  "TCP: reset",
] as const;
type End = (typeof ENDS)[number];

export interface CyclesOutcome {
  ends: Partial<Record<End, number>>;
  /** First calls, and those after a kill: how many were answered with a result. */
  answered: number;
  /** Clients that lost their server or bridge to another one's kill, at that moment. */
  hit: number;
  failures: string[];
  manager: { descriptorsBefore: number; descriptorsAfter: number; memoryBefore: number; memoryAfter: number };
  /** When every session has ended and the manager still runs. */
  zombies: number;
  sessions: number;
  serverProcesses: number;
  /** After the manager's end: its own, of this data directory. */
  left: { processes: number; containers: number; networks: number };
}

/** A server must be idle for a moment to be judged. */
const SETTLE_MS = 30_000;
const CALL_MS = 30_000;
/** From a kill to the next server that answers. */
const KILL_MS = 1_000;

export async function cycles(asked: CyclesAsked): Promise<CyclesOutcome> {
  await using ground = await Ground.open({ runtime: asked.runtime });
  const names = Array.from({ length: asked.servers }, (_, at) => `server-${at}`);
  for (const name of names) await ground.start(name, asked.body);
  const next = random(asked.seed);
  const ends: CyclesOutcome["ends"] = {};
  const failures: string[] = [];
  let answered = 0;
  let begun = 0;
  let hit = 0;
  // A first round, so that what is made once is not taken for a leak.
  for (const name of names) answered += await cycle(ground, name, "front: stdin ends", next);
  const before = { descriptors: descriptorsOf(ground.pid), memory: memoryOf(ground.pid) };
  const lane = async () => {
    while (begun < asked.cycles) {
      const name = names[begun++ % names.length] ?? "";
      const end = ENDS[Math.floor(next() * ENDS.length)] ?? "TCP: reset";
      ends[end] = (ends[end] ?? 0) + 1;
      const startedAt = performance.now();
      try {
        const count = await cycle(ground, name, end, next);
        answered += count;
      } catch (error) {
        // Another lane's victim was this one's: a plain client sees the end, a front that is about to end says so.
        if (killedAt > startedAt - KILL_MS) hit += 1;
        else failures.push(`${end} (${name}): ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: asked.lanes }, lane));
  await until("the end of every session", async () => (await ground.sessions()) === 0, SETTLE_MS);
  const all = async () => [ground.pid, ...ground.offspring(), ...(await ground.bridges())];
  const serverProcesses = async () => (await ground.servers()).length;
  await until("no server process", async () => (await serverProcesses()) === 0, SETTLE_MS).catch(() => {});
  await until("the manager's descriptors", () => descriptorsOf(ground.pid) <= before.descriptors, SETTLE_MS).catch(() =>
    failures.push(`descriptors of the manager: ${JSON.stringify(descriptorKinds(ground.pid))}`),
  );
  const outcome = {
    ends,
    answered,
    hit,
    failures,
    manager: {
      descriptorsBefore: before.descriptors,
      descriptorsAfter: descriptorsOf(ground.pid),
      memoryBefore: before.memory,
      memoryAfter: memoryOf(ground.pid),
    },
    zombies: zombiesOf(await all()),
    sessions: await ground.sessions(),
    serverProcesses: await serverProcesses(),
    left: { processes: 0, containers: 0, networks: 0 },
  };
  const code = await ground.close();
  if (code !== 0) failures.push(`the manager ended with ${code}`);
  await until("the end of every process", () => ground.offspring().length === 0, SETTLE_MS).catch(() => {});
  outcome.left.processes = ground.offspring().length;
  outcome.left.containers = (await ground.containers()).length;
  outcome.left.networks = await ground.networks();
  return outcome;
}

let killedAt = Number.NEGATIVE_INFINITY;

/** How many calls had a result. Throws when a session cannot be had or a call is not answered at all. */
async function cycle(ground: Ground, name: string, end: End, next: () => number): Promise<number> {
  if (end === "TCP: reset") {
    using caller = await Caller.open({ port: ground.tcpPort, token: ground.token, server: name });
    await caller.call();
    return 2;
  }
  const env = Object.fromEntries(
    Object.entries(cleanEnv({ LINKSPAN_DATA_DIR: ground.dataDir })).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value]],
    ),
  );
  await using front = new RawFront({ command: BINARY, args: ["mcp", name], env });
  await front.initialize(CALL_MS);
  const echo = () => front.request("tools/call", { name: "echo", arguments: { text: "here" } }, CALL_MS);
  let answered = (await echo()).result ? 1 : 0;
  await Bun.sleep(next() * 30);
  if (end === "front: SIGKILL during a call") front.ask("tools/call", { name: "hang", arguments: {} });
  if (end === "server: SIGKILL" || end === "bridge: SIGKILL") {
    const victims = await (end === "server: SIGKILL" ? ground.servers() : ground.bridges());
    const victim = victims[Math.floor(next() * victims.length)];
    if (victim !== undefined) kill(victim);
    killedAt = performance.now();
    // Perhaps another client's: whoever is hit gets an error, and the session goes on.
    await echo();
    answered += (await echo()).result ? 1 : 0;
  }
  if (end !== "front: stdin ends") return answered;
  front.endInput();
  const code = await front.ended(CALL_MS);
  if (code !== 0) throw new Error(`the front ended with ${code}: ${front.stderr}`);
  return answered;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {}
}
