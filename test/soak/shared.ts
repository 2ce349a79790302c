/**
 * 50 clients with the same ids and progress tokens on one shared server process, 2,000 calls each, with random
 * cancellations, progress and questions. `npm run soak`.
 */
import { crowd } from "../support/crowd.ts";
import { SEED } from "../support/seed.ts";

const startedAt = performance.now();
process.stderr.write(`shared server: LINKSPAN_SEED=${SEED}\n`);
const outcome = await crowd({ seed: SEED, clients: 50, calls: 2_000, window: 16, deadlineMs: 300_000 });
const { answers, cancelled, progress, questions, refused, crossed, missing, server } = outcome;
const failures = [
  crossed.length > 0 && `${crossed.length} crossed: ${crossed[0]}`,
  missing > 0 && `${missing} answers lost`,
  server.initializes !== 1 && `${server.initializes} times initialized`,
].filter((failure) => failure !== false);
const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
process.stdout.write(
  `shared: ${answers} answers, ${cancelled} cancelled, ${progress} notifications of progress, ${questions} questions ` +
    `(${refused} more refused) in ${seconds} s: ${failures.length === 0 ? "0 crossed, 0 lost, one initialize" : failures.join("; ")}\n`,
);
process.exit(failures.length > 0 ? 1 : 0);
