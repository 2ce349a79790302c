/**
 * After the end of a manager that nobody follows: waits until what it has left has ended by its lease, and removes it
 * with the reaper's own code. Leaves everything to the next manager as soon as there is one.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DATA_FILE } from "../base/data-dir.ts";
import { Deadline, sleep } from "../base/deadline.ts";
import { SILENT } from "../base/log.ts";
import { LABEL } from "../runtime/labels.ts";
import { parseOwner } from "../runtime/owner.ts";
import { helperMark, killFamily, type ProcessIdentity } from "../runtime/process/identity.ts";
import type { Instance, Runtime } from "../runtime/runtime.ts";
import { removeTemporaryFolders } from "../runtime/temporary.ts";
import { Cleanup } from "./cleanup.ts";
import { removeSocket } from "./data-dir.ts";
import { removeEmbeddedDir } from "./embedded-dirs.ts";
import { EventLog } from "./events.ts";
import type { Found } from "./evidence.ts";
import { LifecycleLog } from "./lifecycle.ts";
import { borrowLock, successor } from "./lock.ts";

/** What a killed manager had asked for, the engine may still be making. */
const SETTLE_MS = 3_000;
/** Less than a new manager waits for the lock, which a pass holds. */
const PASS_MS = 8_000;
const LOOK_MS = 250;
const BORROWED_MS = 15_000;
/** In which a manager that has come has a caretaker of its own. */
const SUCCESSION_MS = 2_000;
/** Without word of a change: what a stream of events has lost, and an engine that did not answer. */
const RELOOK_MS = 2_000;
/** An engine that has not answered for so long is left to the next manager. */
const GIVE_UP_MS = 600_000;
/** Where none has answered at all, the manager had most likely none either. */
const NO_ENGINE_MS = 30_000;
/** Of an instance that does not say: the longest default. */
const LEASE_MS = 300_000;

/** No manager has it. */
const NOBODY = "-";

const NO_LOCK: Disposable = { [Symbol.dispose]: () => {} };
const OVER: ReadonlySet<Instance["state"]> = new Set(["ended", "pending", "lost"]);

export interface Deceased {
  dir: string;
  instance: string;
  process: ProcessIdentity;
}

/** `clean`: nothing is left. `succeeded`: there is a manager again. `given-up`: the engine does not answer. */
export type Outcome = "clean" | "kept" | "succeeded" | "given-up";

export class Vigil {
  private readonly since = performance.now();
  /** Those that were seen running: their end is the end of their lease. */
  private readonly ran = new Set<string>();
  private readonly cleanup: Cleanup;
  private readonly ending = new AbortController();
  private changed = Promise.withResolvers<void>();
  /** What the last look has found and left. */
  private left: Instance[] = [];

  constructor(
    private readonly runtime: Runtime,
    private readonly gone: Deceased,
  ) {
    const events = new EventLog();
    const lifecycle = new LifecycleLog(gone.dir);
    events.listen((event) => lifecycle.heard(event));
    const facts = (deadline: Deadline) => runtime.probe(deadline);
    // No manager at all: whatever it meets is another's, and stays unless that one is gone.
    const ground = { runtime, key: new Uint8Array(), instance: NOBODY, home: gone.dir, allowWeaker: false, facts };
    const house = {
      ground,
      events,
      recovery: { done: async () => {} },
      registry: { of: () => undefined },
      books: { wanted: () => 0 },
    };
    const options = { intervalMs: 0, maxAgeMs: 0, narrow: (found: Found) => this.narrow(found) };
    this.cleanup = new Cleanup(house, options, SILENT, this.ending.signal);
  }

  async run(): Promise<Outcome> {
    // Installations, which nobody waits for any more.
    await killFamily(helperMark(this.gone.process), undefined);
    void this.follow();
    try {
      let answeredAt: number | undefined;
      for (;;) {
        if (await this.succeeded()) return "succeeded";
        const looked = await this.pass();
        const now = performance.now();
        if (looked) answeredAt = now;
        if (looked && this.left.every(isPinned) && now - this.since >= SETTLE_MS) {
          return this.left.length === 0 ? await this.finish() : "kept";
        }
        const silentMs = now - (answeredAt ?? this.since);
        if (silentMs > (answeredAt === undefined ? NO_ENGINE_MS : GIVE_UP_MS)) return "given-up";
        await this.changeWithin(this.waitMs());
      }
    } finally {
      this.ending.abort();
    }
  }

  /** Removes what is due; false when the engine did not answer. */
  private async pass(): Promise<boolean> {
    this.changed = Promise.withResolvers();
    try {
      const { removed } = await this.cleanup.run({ dryRun: false, force: false }, Deadline.in(PASS_MS));
      const ids = new Set(removed.map(({ id }) => id));
      this.left = this.left.filter(({ id }) => !ids.has(id));
      return true;
    } catch {
      return false;
    }
  }

  /** Nothing is left but what is on the disk. */
  private async finish(): Promise<Outcome> {
    const { dir, instance } = this.gone;
    // Without its directory there can be no next manager that would be disturbed.
    const attempt = () => (existsSync(join(dir, DATA_FILE.instance)) ? borrowLock(dir) : NO_LOCK);
    let borrowed = attempt();
    // Others who clean up have it for moments.
    for (const until = performance.now() + BORROWED_MS; !borrowed && performance.now() < until; borrowed = attempt()) {
      if (await this.succeeded()) return "succeeded";
      await sleep(LOOK_MS);
    }
    using lock = borrowed;
    if (!lock) return "kept";
    await this.runtime.clean(instance, Deadline.in(PASS_MS)).catch(() => {});
    removeSocket(dir);
    removeTemporaryFolders(this.gone.process.pid);
    removeEmbeddedDir(dir);
    return "clean";
  }

  /** Of everything on the engine, what the manager has left and what is due. */
  private narrow({ instances, networks }: Found): Found {
    const { instance } = this.gone;
    this.left = instances.filter((one) => one.labels[LABEL.instance] === instance || this.isHelper(one));
    for (const { id, state } of this.left) if (!OVER.has(state)) this.ran.add(id);
    const due = this.left.filter((one) => this.dueInMs(one) <= 0);
    // A container that does not run needs its network all the same.
    const alone = due.length === this.left.length;
    return {
      instances: due,
      networks: alone ? networks.filter(({ labels }) => labels[LABEL.instance] === instance) : [],
      strangers: [],
    };
  }

  /**
   * What had ended before its manager did, or was never started, is kept for the next one as long as what runs:
   * for its lease. What ran has had that.
   */
  private dueInMs(one: Instance): number {
    if (!OVER.has(one.state) || isPinned(one)) return Infinity;
    if (this.ran.has(one.id) || this.isHelper(one)) return 0;
    const lease = Number(one.labels[LABEL.lease] ?? LEASE_MS);
    return this.since + (lease > 0 ? lease : LEASE_MS) - performance.now();
  }

  /** Made by the manager's process for a copy, and of no use to anybody else. */
  private isHelper({ labels }: Instance): boolean {
    if (labels[LABEL.instance] !== undefined) return false;
    const owner = parseOwner(labels[LABEL.owner]);
    const { pid, start } = this.gone.process;
    return owner?.dir === undefined && owner?.pid === pid && owner.start === start;
  }

  private waitMs(): number {
    const settledMs = this.since + SETTLE_MS - performance.now();
    const next = Math.min(RELOOK_MS, ...this.left.map((one) => this.dueInMs(one)));
    return Math.max(100, settledMs > 0 ? Math.min(next, settledMs) : next);
  }

  /**
   * Whether a manager has come and looks after everything from now on: one that stays for a moment, or ends in order. One
   * that is killed at once may not have got as far as having a caretaker.
   */
  private async succeeded(): Promise<boolean> {
    if (successor(this.gone.dir) !== "runs") return false;
    for (const until = performance.now() + SUCCESSION_MS; performance.now() < until; await sleep(LOOK_MS)) {
      const now = successor(this.gone.dir);
      if (now !== "runs") return now === undefined;
    }
    return true;
  }

  /** Until something has changed, a manager has come, or so much time has passed. */
  private async changeWithin(ms: number): Promise<void> {
    const { promise } = this.changed;
    const until = performance.now() + ms;
    let over = false;
    void promise.then(() => {
      over = true;
    });
    while (!over && performance.now() < until) {
      if (successor(this.gone.dir) === "runs") return;
      await Promise.race([promise, sleep(Math.max(1, Math.min(LOOK_MS, until - performance.now())))]);
    }
  }

  private async follow(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      try {
        for await (const _ of this.runtime.watch({ [LABEL.instance]: this.gone.instance }, signal)) {
          this.changed.resolve();
        }
      } catch {
        // Looked at every now and then anyway.
      }
      await sleep(LOOK_MS, signal).catch(() => {});
    }
  }
}

/** To outlive its manager is what it was started for. */
function isPinned({ labels }: Instance): boolean {
  return labels[LABEL.lease] === "none";
}
