/**
 * Servers, bridges and managers are killed again and again while real clients work: no client sees a disconnect, no
 * call waits much longer than the fault takes, and between two faults calls succeed. On the process runtime.
 */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../support/until.ts";
import { legacy, modern, type Score, Worker } from "./crowd.ts";
import { MODERN } from "./generations.ts";
import { Stage } from "./stage.ts";

/** The last argument tells this test's processes from others; the servers do not mind it. */
const marker = `storm-${process.pid}`;
const fixture = (name: string) => ({
  image: `exec:${process.execPath}`,
  args: [join(import.meta.dir, `../fixtures/${name}.ts`), marker],
});

/** One answer, however it ends, in this time: a second is the aim, and the machine may be busy. */
const CALL_MS = 8_000;
/** Until every client has results again: a start may wait for its turn on a busy machine, and after several failed ones rests. */
const SERVED_MS = 30_000;

/** This test's processes: servers, or the bridges that have started them. */
async function kill(what: "servers" | "bridges"): Promise<number> {
  let killed = 0;
  for (const pid of new Bun.Glob("[0-9]*").scanSync({ cwd: "/proc", onlyFiles: false })) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const words = command.split("\0");
    const isBridge = words.includes("bridge");
    const isServer = words[0] === process.execPath;
    if (!words.includes(marker) || !(what === "bridges" ? isBridge : isServer)) continue;
    process.kill(Number(pid), "SIGKILL");
    killed += 1;
  }
  return killed;
}

interface Crowd extends AsyncDisposable {
  workers: Worker[];
  /** Resolves when every client has got results from now on. */
  served(): Promise<void>;
  end(): Promise<Score[]>;
}

async function crowd(stage: Stage): Promise<Crowd> {
  await Promise.all(["plain", "modern"].map((name) => stage.start(name, fixture(`${name}-server`))));
  const troubles: string[] = [];
  const clients = await Promise.all([
    legacy(stage.front("plain"), troubles),
    modern(stage.front("plain"), "auto", troubles),
    modern(stage.front("modern"), { pin: MODERN }, troubles),
  ]);
  const workers = clients.map((client) => new Worker(client));
  const scores = Promise.all(workers.map((worker) => worker.run(4)));
  const served = async () => {
    const before = workers.map(({ score }) => score.results);
    await until(
      "results for everybody",
      () => workers.every(({ score }, at) => score.results > (before[at] ?? 0)),
      SERVED_MS,
    );
  };
  // A client of the later era connects without a word: its first call is what opens the session.
  await served();
  const end = async () => {
    for (const worker of workers) worker.end();
    const all = await scores;
    expect(troubles).toEqual([]);
    for (const client of clients) client.onclose = undefined;
    return all;
  };
  const close = async () => {
    for (const client of clients) await client.close();
  };
  return { workers, served, end, [Symbol.asyncDispose]: close };
}

function report(what: string, scores: Score[]): void {
  for (const { results, errors, slowestMs } of scores) {
    const reasons = [...new Set(errors)].join(" | ");
    process.stderr.write(
      `${what}: ${results} results, ${errors.length} errors (${reasons}), slowest ${Math.round(slowestMs)} ms\n`,
    );
    expect(slowestMs).toBeLessThan(CALL_MS);
  }
}

test("the servers are killed every second for 20 s", async () => {
  await using stage = await Stage.open("process");
  await using clients = await crowd(stage);
  const end = performance.now() + 20_000;
  while (performance.now() < end) {
    const next = performance.now() + 1_000;
    expect(await kill("servers")).toBeGreaterThan(0);
    await clients.served();
    await Bun.sleep(Math.max(0, next - performance.now()));
  }
  const scores = await clients.end();
  report("servers killed", scores);
  for (const { errors } of scores) for (const error of errors) expect(error).toContain("SIGKILL");
}, 90_000);

test("manager and bridges are killed in turn", async () => {
  await using stage = await Stage.open("process");
  await using clients = await crowd(stage);
  for (let round = 0; round < 3; round += 1) {
    const before = clients.workers.map(({ score }) => score.errors.length);
    await stage.kill();
    await clients.served();
    await stage.restart();
    await clients.served();
    // Nobody needs the manager for what is under way.
    expect(clients.workers.map(({ score }) => score.errors.length)).toEqual(before);
    expect(await kill("bridges")).toBeGreaterThan(0);
    await clients.served();
  }
  const scores = await clients.end();
  report("managers and bridges killed", scores);
  for (const { errors } of scores) for (const error of errors) expect(error).toContain("not known");
}, 90_000);
