/**
 * `npm run soak`: a server that floods its bridge (a gigabyte without a newline, ten million tiny lines, a gigabyte of
 * stderr), and what another session on the same bridge notices of it, compared with one on another bridge.
 */
import { fixture, type LineClient, TestBridge } from "../support/bridge.ts";

const MIB = 1024 ** 2;
/** Calls of another session, at least. */
const CALLS = 300;
const CALL_EVERY_MS = 3;
const MEMORY_BYTES_MAX = 100 * MIB;
/** Of the neighbour's p99. */
const FACTOR_MAX = 2;
/** Below this a factor says nothing: the machine's own noise is larger. */
const P99_FLOOR_MS = 5;
const FLOOD_MS = 120_000;

const floods: { name: string; method: string; params: object }[] = [
  { name: "1 GB without a newline", method: "endless", params: { bytes: 1_000 * MIB } },
  {
    name: "10 million tiny lines of noise",
    method: "repeat",
    params: { parts: Array.from({ length: 10 }, () => ["{}\n", 1_000_000]) },
  },
  { name: "1 GB of stderr", method: "stderr", params: { bytes: 1_000 * MIB } },
];

/** Milliseconds per call, until told to end, at least so many calls. */
async function measure(client: LineClient, over: () => boolean): Promise<number[]> {
  const times: number[] = [];
  for (let id = 0; id < CALLS || !over(); id++) {
    const startedAt = performance.now();
    client.request(id, "echo", {});
    while (client.lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    client.lines.shift();
    times.push(performance.now() - startedAt);
    await Bun.sleep(CALL_EVERY_MS);
  }
  return times.toSorted((a, b) => a - b);
}

const p99 = (times: number[]) => times[Math.floor(times.length * 0.99)] ?? Number.NaN;
const failures: string[] = [];

for (const { name, method, params } of floods) {
  await using bridge = await TestBridge.start(fixture("obedient-server.ts"));
  // What the flood costs the machine, it costs a session on a bridge of its own, too.
  await using other = await TestBridge.start(fixture("obedient-server.ts"));
  const [noisy, neighbour, apart] = [await bridge.attach(), await bridge.attach(), await other.attach()];
  await measure(neighbour, () => true);
  let over = false;
  let peak = 0;
  const watch = setInterval(() => void bridge.privateBytes().then((bytes) => (peak = Math.max(peak, bytes))), 20);
  const startedAt = performance.now();
  noisy.request("flood", method, params);
  const flooded = noisy.message(FLOOD_MS).finally(() => (over = true));
  const [near, far] = await Promise.all([measure(neighbour, () => over), measure(apart, () => over)]);
  const answer = await flooded;
  const seconds = (performance.now() - startedAt) / 1_000;
  clearInterval(watch);
  noisy.request("after", "echo", {});
  if (answer.id !== "flood" || (await noisy.message()).id !== "after") failures.push(`${name}: no answer after it`);
  if (peak > MEMORY_BYTES_MAX) failures.push(`${name}: ${Math.round(peak / MIB)} MiB`);
  if (p99(near) > FACTOR_MAX * Math.max(p99(far), P99_FLOOR_MS))
    failures.push(`${name}: p99 ${p99(near).toFixed(1)} ms`);
  process.stdout.write(
    `floods: ${name} in ${seconds.toFixed(1)} s: at most ${Math.round(peak / MIB)} MiB in the bridge; p99 of ${near.length} ` +
      `calls of its neighbour ${p99(near).toFixed(2)} ms, of a session on another bridge ${p99(far).toFixed(2)} ms\n`,
  );
}
for (const failure of failures) process.stdout.write(`floods: FAILED: ${failure}\n`);
process.exit(failures.length > 0 ? 1 : 0);
