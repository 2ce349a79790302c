/** 50 restarts of the manager (SIGKILL, SIGTERM, another build) while stdio clients have calls in flight all the time. */
import { failuresOf, restarts } from "../e2e/restarts.ts";
import { SEED } from "../support/seed.ts";

const ROUNDS = 50;
const startedAt = performance.now();
process.stderr.write(`restarts of the manager: LINKSPAN_SEED=${SEED}\n`);
const outcome = await restarts({ seed: SEED, rounds: ROUNDS, lanes: 4 });
const failures = failuresOf(outcome, ROUNDS);
const { scores, ends, takeoverMs, newcomers } = outcome;
const calls = scores.reduce((sum, { results }) => sum + results, 0);
const slowestMs = Math.round(Math.max(...scores.map((score) => score.slowestMs)));
const kinds = Object.entries(Object.groupBy(ends, (end) => end)).map(([end, all]) => `${all?.length} ${end}`);
const takeovers = takeoverMs.toSorted((a, b) => a - b).map(Math.round);
const seconds = Math.round((performance.now() - startedAt) / 1000);
process.stdout.write(
  `restart: ${ROUNDS} restarts (${kinds.join("; ")}), ${calls} calls, slowest ${slowestMs} ms, ${newcomers} new clients, ` +
    `taken over in ${takeovers[ROUNDS / 2]} ms (at most ${takeovers.at(-1)} ms), ${seconds} s: ` +
    `${failures.length === 0 ? "0 calls failed, 0 containers restarted or added" : failures.join("; ")}\n`,
);
process.exit(failures.length > 0 ? 1 : 0);
