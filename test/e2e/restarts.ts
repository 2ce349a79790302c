/**
 * The manager ends and comes back again and again, by SIGKILL, by SIGTERM and as another build, while stdio clients of
 * both SDKs have calls in flight with a server in a container. Used with few rounds in the tests and with many in the soak.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deadline } from "../../src/base/deadline.ts";
import { inspectContainer, listContainers } from "../../src/docker/containers.ts";
import { listVolumes, removeVolume } from "../../src/docker/volumes.ts";
import { LABEL } from "../../src/runtime/labels.ts";
import { BINARY } from "../support/binary.ts";
import { engine } from "../support/engine.ts";
import { random } from "../support/ordeal.ts";
import { until } from "../support/until.ts";
import { legacy, modern, type Score, Worker } from "./crowd.ts";
import { fixtureBody } from "./images.ts";
import { RawFront } from "./raw-front.ts";
import { Stage } from "./stage.ts";

export interface Plan {
  seed: number;
  rounds: number;
  /** Calls at the same time, of each of the two clients. */
  lanes: number;
}

export interface Outcome {
  scores: Score[];
  /** What the clients' transports complained of. */
  troubles: string[];
  /** From the start of a manager until it has taken the server over, milliseconds. */
  takeoverMs: number[];
  /** What happened in each round. */
  ends: string[];
  /** Of the server's container and its processes, before and after: the same if nothing was restarted. */
  identities: string[][];
  /** Sessions opened during the rounds, each by a client of its own, that were answered. */
  newcomers: number;
  /** What the engine has of this manager at the end. */
  containers: number;
  /** The volumes with the bridge that those containers have. */
  bridges: string[];
}

const NEXT_VERSION = "0.0.1-next";
const LATER_MS_MAX = 1_200;
const ROUND_MS_MAX = 700;

/** The same sources as another version: its bridge lies in another volume. */
export async function nextBuild(): Promise<{ binary: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "ls-next-"));
  const binary = join(folder, "linkspan");
  const build = [process.execPath, join(import.meta.dir, "../../build.ts"), "--outfile", binary];
  const child = Bun.spawn([...build, "--version", NEXT_VERSION], { stdout: "ignore", stderr: "pipe" });
  if ((await child.exited) !== 0) throw new Error(await child.stderr.text());
  return {
    binary,
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true });
      for (const { Name } of await listVolumes(engine(), { label: [`${LABEL.bridge}=${NEXT_VERSION}`] }, soon())) {
        // Another run may use it.
        await removeVolume(engine(), Name, soon()).catch(() => {});
      }
    },
  };
}

export async function restarts({ seed, rounds, lanes }: Plan): Promise<Outcome> {
  const next = random(seed);
  await using newer = await nextBuild();
  await using stage = await Stage.open("docker", { keepServers: true });
  const body = await fixtureBody("plain-server");
  await stage.start("plain", body);
  const troubles: string[] = [];
  const clients = [await legacy(stage.front("plain"), troubles), await modern(stage.front("plain"), "auto", troubles)];
  const workers = clients.map((client) => new Worker(client, (text) => callFor(text, next)));
  const outcome: Outcome = {
    scores: [],
    troubles,
    takeoverMs: [],
    ends: [],
    identities: [],
    newcomers: 0,
    containers: 0,
    bridges: [],
  };
  const identity = async () => {
    const pids = await Promise.all(clients.map((client) => client.callTool({ name: "process", arguments: {} })));
    return [await incarnation(stage, "plain"), ...pids.map(({ content }) => JSON.stringify(content))];
  };
  outcome.identities.push(await identity());
  const scores = Promise.all(workers.map((worker) => worker.run(lanes)));
  let build = BINARY;
  for (let round = 0; round < rounds; round += 1) {
    await Bun.sleep(next() * ROUND_MS_MAX);
    const signal = next() < 0.5 ? "SIGKILL" : "SIGTERM";
    // The first two rounds have both directions, however few there are.
    const upgrade = round < 2 || next() < 0.3;
    await stage.end(signal);
    if (upgrade) build = build === BINARY ? newer.binary : BINARY;
    outcome.ends.push(`${signal}${upgrade ? (build === BINARY ? ", downgrade" : ", upgrade") : ""}`);
    const startedAt = performance.now();
    await stage.restart(build);
    await until("the server is taken over", async () => (await stage.view("plain")).state === "ready");
    outcome.takeoverMs.push(performance.now() - startedAt);
    outcome.newcomers += await newcomer(stage, `round ${round}`);
    // Once as the newer build: what it starts itself has the newer bridge, beside what runs with the older one.
    if (round === 0) await stage.start("another", { ...body, labels: { made: "later" } });
  }
  for (const worker of workers) worker.end();
  outcome.scores = await scores;
  outcome.identities.push(await identity());
  for (const client of clients) client.onclose = undefined;
  const ids = (await listContainers(engine(), { label: [`${LABEL.instance}=${await stage.instance()}`] }, soon())).map(
    ({ Id }) => Id,
  );
  outcome.containers = ids.length;
  outcome.bridges = (await Promise.all(ids.map(bridgeOf))).toSorted();
  for (const client of clients) await client.close();
  return outcome;
}

/** Most are answered at once, some only after the manager has gone or come back. */
function callFor(text: string, next: () => number) {
  if (next() < 0.9) return { name: "echo", arguments: { text }, answer: text };
  return { name: "later", arguments: { text, count: Math.floor(next() * LATER_MS_MAX) }, answer: text };
}

/** A client that comes after a restart: the bridge may be of another build than the front and the manager. */
async function newcomer(stage: Stage, text: string): Promise<number> {
  await using front = new RawFront(stage.front("plain"));
  await front.initialize();
  const { result } = await front.call("echo", { text });
  front.endInput();
  await front.ended();
  return JSON.stringify(result).includes(text) ? 1 : 0;
}

async function incarnation(stage: Stage, server: string): Promise<string> {
  const { id = "" } = await stage.view(server);
  return `${id} ${(await inspectContainer(engine(), id, soon()))?.State.StartedAt}`;
}

async function bridgeOf(id: string): Promise<string> {
  const found = await inspectContainer(engine(), id, soon());
  const mounts = found?.["Mounts"];
  if (!Array.isArray(mounts)) return "";
  const bridge = mounts.find(({ Destination }: { Destination: string }) => Destination === "/.linkspan") as
    { Name: string } | undefined;
  return bridge?.Name ?? "";
}

function soon(): Deadline {
  return Deadline.in(30_000);
}

/** What is not as it should be, as sentences; nothing when all is well. */
export function failuresOf(outcome: Outcome, rounds: number): string[] {
  const { scores, troubles, takeoverMs, identities, newcomers, containers, bridges } = outcome;
  const errors = scores.flatMap((score) => score.errors);
  const [before, after] = identities;
  return [
    scores.some(({ results }) => results < rounds * 10) && "too few calls to say anything",
    errors.length > 0 && `${errors.length} calls failed: ${errors[0]}`,
    troubles.length > 0 && `troubles of transports: ${troubles.join(" | ")}`,
    Math.max(...takeoverMs) > TAKEOVER_MS && `a takeover took ${Math.round(Math.max(...takeoverMs))} ms`,
    JSON.stringify(before) !== JSON.stringify(after) && `restarted: ${JSON.stringify(identities)}`,
    newcomers !== rounds && `${rounds - newcomers} new clients were not served`,
    containers !== 2 && `${containers} containers instead of 2`,
    new Set(bridges).size !== 2 && `bridges: ${bridges.join(" ")}`,
  ].filter((failure) => failure !== false);
}

/** faults.md: a new manager has every container again within 5 s. */
const TAKEOVER_MS = 5_000;
