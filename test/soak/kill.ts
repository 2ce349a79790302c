/**
 * `npm run soak`: client, front and manager killed with SIGKILL at random moments, 200 times, with servers that ignore the
 * end of their input and SIGTERM; others at work on the same engine. Arguments: how many runs, how many at once.
 */
import { killStorm } from "../support/kill-storm.ts";
import { SEED } from "../support/seed.ts";

const LEASE_MS = 4_000;
const startedAt = performance.now();
const [runs = 200, atOnce = 5] = process.argv.slice(2).map(Number);
process.stderr.write(`killed clients, fronts and managers: LINKSPAN_SEED=${SEED}\n`);
const runtimes = ["docker", "docker", "process"] as const;
const report = (run: string) => void process.stderr.write(`${run}\n`);
const { killed, answers, goneMs, left, harmed, calls } = await killStorm({
  seed: SEED,
  runs,
  atOnce,
  leaseMs: LEASE_MS,
  graceMs: 5_000,
  runtimes,
  report,
});
const seconds = Math.round((performance.now() - startedAt) / 1000);
const at = (share: number) => Math.round(goneMs[Math.floor((goneMs.length - 1) * share)] ?? Number.NaN);
process.stdout.write(
  `kill: ${runs} runs, ${killed} processes killed, ${answers} answers before, in ${seconds} s; lease ${LEASE_MS} ms; nothing left after ` +
    `${at(0.5)} ms (median), ${at(1)} ms (slowest); left after the lease and 5 s: ${left.length}; ` +
    `others: ${calls} calls, ${harmed.length} failed\n`,
);
for (const what of [...left, ...harmed]) process.stdout.write(`  ${what}\n`);
process.exit(left.length + harmed.length > 0 ? 1 : 0);
