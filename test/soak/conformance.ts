/**
 * The official conformance tool many times in a row: `bun test/soak/conformance.ts [RUNS]`. Every run of every case has to
 * find what is found without Linkspan.
 */
import { CASES, Court } from "../conformance/court.ts";

const RUNS = Number(process.argv[2] ?? 20);
const failures: string[] = [];
let judged = 0;
let checks = 0;
await using court = await Court.open();
for (let run = 1; run <= RUNS; run += 1) {
  for (const [suite, path] of CASES) {
    const [found, control] = [await court.through(suite, path), await court.control(suite)];
    judged += 1;
    checks += found.checks.length;
    const differs = control.checks.filter((one) => !found.checks.includes(one));
    if (!found.passed || !Bun.deepEquals(found.checks, control.checks))
      failures.push(`run ${run}: ${suite} through ${path}: ${differs.join(", ") || "not passed"}`);
  }
  process.stderr.write(`run ${run} of ${RUNS}: ${failures.length} failures so far\n`);
}
process.stdout.write(
  `conformance: ${judged} suites in ${RUNS} runs, ${checks} checks, ${failures.length} suites differ\n`,
);
for (const failure of failures) process.stdout.write(`${failure}\n`);
process.exitCode = failures.length > 0 ? 1 : 0;
