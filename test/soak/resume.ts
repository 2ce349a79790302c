/** `npm run soak`: 1,000 cuts at random byte offsets, both directions and in the middle of frames, during 10,000 calls. */
import { ordeal } from "../support/ordeal.ts";
import { SEED } from "../support/seed.ts";

const startedAt = performance.now();
process.stderr.write(`cut connections: LINKSPAN_SEED=${SEED}\n`);
const outcome = await ordeal({ seed: SEED, calls: 10_000, cuts: 1_000, offsetMax: 16_000, deadlineMs: 600_000 });
const { wrong, missing, notifications, server, serverNotified, pids, ends, breaks, resumes, calls } = outcome;
const failures = [
  wrong.length > 0 && `${wrong.length} answers doubled or wrong: ${wrong[0]}`,
  missing > 0 && `${missing} answers lost`,
  (notifications.sent !== notifications.received || !notifications.ordered) && "notifications of the server differ",
  (server.received !== serverNotified || !server.ordered) && "notifications to the server differ",
  pids[0] !== pids[1] && "the server process changed",
  ends.length > 0 && `the session ended: ${JSON.stringify(ends)}`,
  breaks !== resumes && `${breaks} breaks, ${resumes} resumes`,
].filter((failure) => failure !== false);
const seconds = Math.round((performance.now() - startedAt) / 1000);
process.stdout.write(
  `resume: ${calls} calls, ${breaks} cuts, ${notifications.received} + ${server.received} notifications in ${seconds} s: ` +
    `${failures.length === 0 ? "0 lost, 0 doubled, one server process" : failures.join("; ")}\n`,
);
process.exit(failures.length > 0 ? 1 : 0);
