/**
 * `npm test`: makes sure that an engine answers (the one that is there, else a private one), runs every test file and
 * ends with the line `N passed, N failed, N skipped`. Arguments go to `bun test` (a folder, a file, `-t NAME`).
 */
import { availableParallelism } from "node:os";
import { startEngine } from "./private-engine.ts";

/** The whole run. */
const RUN_MS = 40 * 60_000;
/** More than there are processors: most tests wait for processes, engines and deadlines of theirs. */
const WORKERS = availableParallelism() + 2;
/** For one test, unless it names its own. */
const TEST_MS = 60_000;

const engine = await startEngine();
process.stderr.write(`${engine.note}\n`);
const options = [`--timeout=${TEST_MS}`, `--parallel=${WORKERS}`, "--only-failures"];
const child = Bun.spawn([process.execPath, "test", ...options, ...process.argv.slice(2)], {
  env: { ...process.env, ...(engine.host ? { DOCKER_HOST: engine.host } : {}) },
  stdin: "ignore",
  stdout: "inherit",
  stderr: "pipe",
  timeout: RUN_MS,
  killSignal: "SIGKILL",
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
const counts = await countedOutput(child.stderr);
const code = await child.exited;
await engine.close();

if (code !== 0 && counts.fail === 0) {
  process.stderr.write(
    `the test process ended with ${child.signalCode ?? code} before it said how many tests failed\n`,
  );
  counts.fail = 1;
}
process.stdout.write(`${counts.pass} passed, ${counts.fail} failed, ${counts.skip} skipped\n`);
process.exit(counts.fail > 0 || counts.pass === 0 ? 1 : 0);

/** Passes the runner's output on and reads its summary. */
async function countedOutput(
  output: ReadableStream<Uint8Array>,
): Promise<{ pass: number; fail: number; skip: number }> {
  const found = { pass: 0, fail: 0, skip: 0 };
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of output) {
    process.stderr.write(chunk);
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, count, what] = /^\s*(\d+) (pass|fail|skip)$/.exec(Bun.stripANSI(line)) ?? [];
      if (what === "pass" || what === "fail" || what === "skip") found[what] = Number(count);
    }
  }
  return found;
}
