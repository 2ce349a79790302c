/**
 * Of `npm run soak`: ten thousand connections, a flooding neighbour, clients that never read, and a thousand
 * sessions with random kills. `--minutes N` is the time of the flood (10), `--only NAME,…` chooses parts, `--runtime docker`
 * runs the servers of flood and cycles in containers.
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { fixtureBody } from "../e2e/images.ts";
import { crowd, scarce } from "../load/crowd.ts";
import { cycles } from "../load/cycles.ts";
import { deaf } from "../load/deaf.ts";
import { neighbours, PLAIN } from "../load/neighbours.ts";
import { SEED } from "../support/seed.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    cycles: { type: "string", default: "1000" },
    only: { type: "string", default: "crowd,scarce,deaf,cycles,neighbours" },
    runtime: { type: "string", default: "process" },
  },
});
const runtime: "docker" | "process" = values.runtime === "docker" ? "docker" : "process";
const body = async () => (runtime === "docker" ? await fixtureBody("plain-server") : PLAIN);
/** MiB; what a manager with all that must stay below. */
const MANAGER_MIB = 256;
const BRIDGE_MIB = 400;

type Verdict = [failure: string | false, ...failures: (string | false)[]];

const PARTS: Record<string, () => Promise<Verdict>> = {
  async crowd() {
    const outcome = await crowd({ clients: 10_000, attached: 1_000, extra: 200, http: 5_000 });
    show("crowd", outcome);
    const { refused, memory, descriptors, witness } = outcome;
    return [
      refused !== 200 && `${refused} of 200 refused`,
      memory.during > MANAGER_MIB && `${memory.during} MiB`,
      descriptors.after > descriptors.before + 200 && "descriptors are left",
      witness.errors + witness.lost > 0 && "the witness noticed",
    ];
  },
  async scarce() {
    const outcome = await scarce(256);
    show("scarce", outcome);
    const { tcpRefused, httpShut, httpAgain, witness } = outcome;
    return [
      !(tcpRefused > 0 && httpShut && httpAgain) && "not refused, or not served again",
      witness.errors + witness.lost > 0 && "the witness noticed",
    ];
  },
  async deaf() {
    const outcome = await deaf({ clients: 100, streams: 20, ms: 60_000 });
    show("deaf", outcome);
    return [
      outcome.manager > MANAGER_MIB && `the manager took ${outcome.manager} MiB`,
      outcome.bridge > BRIDGE_MIB && `the bridge took ${outcome.bridge} MiB`,
      outcome.witness.errors + outcome.witness.lost > 0 && "the witness noticed",
    ];
  },
  async cycles() {
    process.stderr.write(`session cycles: LINKSPAN_SEED=${SEED}\n`);
    const count = Number(values.cycles);
    const outcome = await cycles({ seed: SEED, cycles: count, lanes: 4, servers: 4, runtime, body: await body() });
    show("cycles", outcome);
    const { failures, hit, zombies, sessions, serverProcesses, left, manager } = outcome;
    return [
      failures.length > 0 && `${failures.length} failures: ${failures[0]}`,
      hit > count / 10 && `${hit} clients noticed a kill that was meant for another`,
      zombies + sessions + serverProcesses > 0 && "zombies, sessions or server processes are left",
      left.processes + left.containers + left.networks > 0 && "something is left after the manager's end",
      manager.memoryAfter > MANAGER_MIB && `the manager has ${manager.memoryAfter} MiB`,
    ];
  },
  async neighbours() {
    const floodMs = Number(values.minutes) * 60_000;
    const pace = { servers: 20, callsPerSecond: 1_000, quietMs: Math.min(60_000, floodMs), floodMs };
    const outcome = await neighbours({ ...pace, runtime, body: await body() });
    show("neighbours", outcome);
    const { quiet, flooded, memory } = outcome;
    const [first = 0, last = 0] = [memory.manager[1], memory.manager.at(-1)];
    return [
      flooded.errors + flooded.lost > 0 && "calls of neighbours failed",
      flooded.p99 > 2 * quiet.p99 && `p99 of neighbours: ${quiet.p99} ms, with a flooder ${flooded.p99} ms`,
      last > 2 * first && last > 100 && `the manager grew from ${first} to ${last} MiB`,
    ];
  },
};

let failed = 0;
for (const name of values.only.split(",")) {
  const part = PARTS[name];
  if (!part) throw new Error(`there is no part ${name}: ${Object.keys(PARTS).join(", ")}`);
  const startedAt = performance.now();
  const failures = (await part()).filter((failure) => failure !== false);
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  const load = loadavg().map((value) => value.toFixed(1));
  process.stdout.write(`${name}: ${failures.join("; ") || "as it should be"}, ${seconds} s (load ${load.join(" ")})\n`);
  failed += failures.length;
}
process.exit(failed > 0 ? 1 : 0);

function show(name: string, outcome: object): void {
  const short = (_: string, value: unknown) => (typeof value === "number" ? Math.round(value * 100) / 100 : value);
  process.stdout.write(`${name} ${JSON.stringify(outcome, short)}\n`);
}
