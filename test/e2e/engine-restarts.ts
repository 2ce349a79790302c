/**
 * Runs inside a cage (caged-engine.ts): the engine ends and starts again every two seconds while clients of both SDKs have
 * calls in flight with a server in a container. Prints what they have seen. Arguments: folder, live-restore, seconds, seed.
 */
import { CagedEngine, runCaged } from "../support/caged-engine.ts";
import { random } from "../support/ordeal.ts";
import { until } from "../support/until.ts";

interface Outcome {
  restarts: number;
  results: number;
  /** Calls that ended in an error, each with the message. */
  errors: string[];
  /** What the clients' transports complained of; `closed` is a disconnect. */
  troubles: string[];
  /**
   * The longest that a call took to fail, from the fault where it was in flight then. Containers that a killed engine has
   * left behind serve on until the next engine ends them, so a call that fails may have begun long after the fault.
   */
  failedMs: number;
  /** From a fault to the latest end, good or bad, of a call that was in flight then. */
  endedMs: number;
  /** From an engine that answers again to results for every client. */
  servedMs: number;
  slowestMs: number;
  /** Container and process of each client, at the beginning and at the end. */
  identities: string[][];
}

interface Ended {
  startedAt: number;
  endedAt: number;
  error: string | undefined;
}

const PAUSE_MS = 2_000;
const SERVED_MS = 60_000;
const LATER_MS_MAX = 500;
const LANES = 2;
/** Furnishing the cage, the first start of everything, and the end. */
const SLACK_S = 120;

/** In a cage of its own. Faults where this machine cannot have one (`cageProblem`). */
export async function cagedRestarts(live: boolean, seconds: number, seed: number): Promise<Outcome> {
  const args = [live ? "live" : "stop", String(seconds), String(seed)];
  return JSON.parse(await runCaged(import.meta.path, args, (seconds + SLACK_S) * 1_000)) as Outcome;
}

if (import.meta.main) {
  const [folder = "", live = "", seconds = "", seed = ""] = process.argv.slice(2);
  const outcome = await restartEngine(folder, live === "live", Number(seconds), Number(seed));
  process.stdout.write(JSON.stringify(outcome), () => process.exit(0));
}

async function restartEngine(folder: string, live: boolean, seconds: number, seed: number): Promise<Outcome> {
  await CagedEngine.furnish();
  const engine = new CagedEngine(folder, live);
  await engine.start();
  // They look for the engine when they are loaded.
  const { fixtureBody } = await import("./images.ts");
  const { legacy, modern, Worker } = await import("./crowd.ts");
  const { Stage } = await import("./stage.ts");
  const next = random(seed);
  const ended: Ended[] = [];
  const faults: number[] = [];
  const troubles: string[] = [];
  let servedMs = 0;
  await using stage = await Stage.open("docker");
  await stage.start("plain", await fixtureBody("plain-server"));
  const clients = [await legacy(stage.front("plain"), troubles), await modern(stage.front("plain"), "auto", troubles)];
  const callFor = (text: string) =>
    next() < 0.9
      ? { name: "echo", arguments: { text }, answer: text }
      : { name: "later", arguments: { text, count: Math.floor(next() * LATER_MS_MAX) }, answer: text };
  const workers = clients.map((client) => new Worker(client, callFor, (call) => void ended.push(call)));
  const identity = async () => {
    const pids = await Promise.all(clients.map((client) => client.callTool({ name: "process", arguments: {} })));
    return [(await stage.view("plain")).id ?? "", ...pids.map(({ content }) => JSON.stringify(content))];
  };
  const identities = [await identity()];
  const scores = Promise.all(workers.map((worker) => worker.run(LANES)));
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    await Bun.sleep(PAUSE_MS);
    faults.push(performance.now());
    await engine.end(next() < 0.5 ? "SIGKILL" : "SIGTERM");
    await engine.start();
    const from = performance.now();
    const before = workers.map(({ score }) => score.results);
    const served = () => workers.every(({ score }, at) => score.results > (before[at] ?? 0));
    await until("results for every client", served, SERVED_MS);
    servedMs = Math.max(servedMs, performance.now() - from);
  }
  for (const worker of workers) worker.end();
  await scores;
  identities.push(await identity());
  for (const client of clients) client.onclose = undefined;
  for (const client of clients) await client.close();
  const inFlight = ended.flatMap(({ startedAt, endedAt }) => {
    const fault = faults.find((at) => at > startedAt && at < endedAt);
    return fault === undefined ? [] : [endedAt - fault];
  });
  const failed = ended.flatMap(({ startedAt, endedAt, error }) => {
    const fault = faults.findLast((at) => at < endedAt);
    return error === undefined || fault === undefined ? [] : [endedAt - Math.max(startedAt, fault)];
  });
  return {
    restarts: faults.length,
    results: workers.reduce((sum, { score }) => sum + score.results, 0),
    errors: workers.flatMap(({ score }) => score.errors),
    troubles,
    failedMs: Math.max(0, ...failed),
    endedMs: Math.max(0, ...inFlight),
    servedMs,
    slowestMs: Math.max(...workers.map(({ score }) => score.slowestMs)),
    identities,
  };
}
