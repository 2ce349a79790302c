/**
 * The engine ends (SIGTERM, SIGKILL) and starts again every two seconds under load, for five minutes with live-restore and
 * as long without it. Argument: seconds of each.
 */
import { cagedRestarts } from "../e2e/engine-restarts.ts";
import { cageProblem } from "../support/caged-engine.ts";
import { SEED } from "../support/seed.ts";

const [seconds = "300"] = process.argv.slice(2);
const problem = cageProblem();
if (problem) {
  process.stdout.write(`engine: SKIPPED, ${problem}\n`);
  process.exit(0);
}
let failed = false;
for (const live of [true, false]) {
  const outcome = await cagedRestarts(live, Number(seconds), SEED);
  const { restarts, results, errors, troubles, endedMs, failedMs, servedMs, slowestMs, identities } = outcome;
  const kinds = Object.entries(Object.groupBy(errors, (error) => error.replace("MCP error ", "").slice(0, 100)));
  const words = [
    `${restarts} restarts, ${results} results, ${errors.length} calls failed, ${troubles.length} disconnects`,
    `calls in flight at a fault ended at most ${Math.round(endedMs)} ms after it, failing ones took ${Math.round(failedMs)} ms`,
    `${Math.round(servedMs)} ms from the engine's return to results for all, slowest call ${Math.round(slowestMs)} ms`,
    ...kinds.map(([error, all]) => `${all?.length} x ${error}`),
  ];
  process.stdout.write(`engine with${live ? "" : "out"} live-restore (seed ${SEED}): ${words.join("; ")}\n`);
  const kept = identities[0]?.join() === identities[1]?.join();
  if (troubles.length > 0 || (live && (errors.length > 0 || !kept))) failed = true;
}
process.exit(failed ? 1 : 0);
