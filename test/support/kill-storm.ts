/** Many kill runs at once, beside managers that nothing must happen to: their servers, sessions and calls go on. */
import { join } from "node:path";
import { engine } from "./engine.ts";
import { type Entry } from "../../src/docker/archive.ts";
import { RawFront } from "../e2e/raw-front.ts";
import { startImageRegistry } from "./image-registry.ts";
import { debianPackage, testImage } from "./images.ts";
import { type Killed, killRun, type KillOptions, type Moment, MOMENTS } from "./kill-run.ts";
import { Lone } from "./lone-manager.ts";
import { random } from "./ordeal.ts";

const UNDYING = join(import.meta.dir, "../fixtures/undying-server.sh");
/** Short, so that a renewal which is missed shows. */
const BYSTANDER_LEASE_MS = 3_000;
const CALL_EVERY_MS = 100;
const CALL_MS = 10_000;

export interface Storm {
  seed: number;
  runs: number;
  atOnce: number;
  leaseMs: number;
  graceMs: number;
  runtimes: readonly KillOptions["runtime"][];
  /** After each run. */
  report?(run: string): void;
}

export interface Outcome {
  killed: number;
  answers: number;
  /** Of every run, from the last SIGKILL on, slowest last. */
  goneMs: number[];
  /** What was left after the lease and the grace, with its run. */
  left: string[];
  /** What has happened to others. */
  harmed: string[];
  /** Calls of others that were answered meanwhile. */
  calls: number;
}

export async function killStorm({ seed, runs, atOnce, leaseMs, graceMs, runtimes, report }: Storm): Promise<Outcome> {
  const withEngine = runtimes.includes("docker");
  const entries = withEngine ? await undyingEntries() : [];
  const image = withEngine
    ? await testImage(engine(), "undying", entries, ['ENTRYPOINT ["/bin/sh","/server.sh"]'])
    : "";
  await using registry = await startImageRegistry({ "linkspan-test/stalls": entries }, { stalls: true });
  const stalling = `${registry.host}/linkspan-test/stalls:1`;
  await using bystanders = new AsyncDisposableStack();
  const others: Bystander[] = [];
  for (const runtime of runtimes) others.push(bystanders.use(await Bystander.open(runtime, image)));
  const next = random(seed);
  const plans = Array.from({ length: runs }, (_, index) => ({
    runtime: runtimes[index % runtimes.length] ?? "process",
    moment: momentOf(next, runtimes[index % runtimes.length] ?? "process"),
    // Of its own, so that a run does not depend on how far the others have come.
    next: random(seed + index + 1),
  }));
  const outcome: Outcome = { killed: 0, answers: 0, goneMs: [], left: [], harmed: [], calls: 0 };
  let begun = 0;
  const worker = async () => {
    for (let index = begun++; index < plans.length; index = begun++) {
      const plan = plans[index];
      if (!plan) return;
      const result = await killRun({ ...plan, leaseMs, graceMs, image, stalling });
      note(outcome, result, `run ${index} (${plan.runtime}, ${plan.moment})`);
      report?.(`${index} ${plan.runtime} ${plan.moment}: ${JSON.stringify(result)}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  for (const other of others) {
    outcome.harmed.push(...(await other.harm()));
    outcome.calls += other.answered;
  }
  outcome.goneMs.sort((a, b) => a - b);
  return outcome;
}

function momentOf(next: () => number, runtime: KillOptions["runtime"]): Moment {
  const moment = MOMENTS[Math.floor(next() * MOMENTS.length)] ?? "any";
  return moment === "pulling" && runtime === "process" ? "any" : moment;
}

function note(outcome: Outcome, { killed, answers, goneMs, left }: Killed, run: string): void {
  outcome.killed += killed;
  outcome.answers += answers;
  if (goneMs !== undefined) outcome.goneMs.push(goneMs);
  else outcome.left.push(`${run}: never gone`);
  outcome.left.push(...left.map((what) => `${run}: ${what}`));
}

async function undyingEntries(): Promise<Entry[]> {
  const folder = await debianPackage("busybox-static");
  return [
    { kind: "folder", name: "bin" },
    { kind: "file", name: "bin/busybox", path: join(folder, "bin/busybox"), mode: 0o755 },
    ...["sh", "sleep"].map((name): Entry => ({ kind: "link", name: `bin/${name}`, target: "busybox" })),
    { kind: "file", name: "server.sh", path: UNDYING },
  ];
}

/** A manager with a server, and a client that calls it all the time. */
class Bystander implements AsyncDisposable {
  answered = 0;
  private readonly failed: string[] = [];
  private calling: Promise<void> | undefined;
  private over = false;
  private server = "";
  private container = "";

  private constructor(
    private readonly manager: Lone,
    private readonly front: RawFront,
  ) {}

  static async open(runtime: KillOptions["runtime"], image: string): Promise<Bystander> {
    const manager = await Lone.open(runtime);
    const what =
      runtime === "docker" ? { image, limits: { memory: "32m" } } : { image: "exec:/bin/sh", args: [UNDYING] };
    await manager.run("calm", { ...what, lease: BYSTANDER_LEASE_MS });
    const bystander = new Bystander(manager, new RawFront(manager.front("calm")));
    await bystander.front.initialize();
    bystander.server = await bystander.call();
    bystander.container = (await manager.servers())[0]?.id ?? "";
    bystander.calling = bystander.goOn();
    return bystander;
  }

  /** Stops calling; what was not as it should be. */
  async harm(): Promise<string[]> {
    this.over = true;
    await this.calling;
    const [view] = await this.manager.servers();
    if (view?.id !== this.container) this.failed.push(`another container than before: ${JSON.stringify(view)}`);
    return this.failed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.over = true;
    await this.calling;
    await this.front[Symbol.asyncDispose]();
    await this.manager[Symbol.asyncDispose]();
  }

  private async goOn(): Promise<void> {
    while (!this.over) {
      const server = await this.call();
      if (server === this.server) this.answered += 1;
      else this.failed.push(`a call was answered by ${server}, not by ${this.server}`);
      await Bun.sleep(CALL_EVERY_MS);
    }
  }

  private async call(): Promise<string> {
    try {
      const { front } = this;
      return JSON.stringify((await front.answered(front.ask("tools/call", { name: "any" }), CALL_MS)).result);
    } catch (error) {
      return String(error);
    }
  }
}
