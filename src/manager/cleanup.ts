/**
 * The reaper at work: looks at everything on the engine that any manager has made, collects what is known of each
 * (evidence), lets reaper.ts judge, and removes. One pass at a time. Whatever may have a session is asked once more in the
 * same step in which it is ended, by the only one who knows: its bridge.
 */
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import type { CleanupBody, CleanupItem, CleanupReport } from "../model/cleanup.ts";
import { LABEL, MANAGED_BY } from "../runtime/labels.ts";
import { parseOwner } from "../runtime/owner.ts";
import type { Instance, OwnedNetwork } from "../runtime/runtime.ts";
import { dialControl } from "../transport/control.ts";
import { type Candidate, Evidences, type Found, type Household } from "./evidence.ts";
import { removeEmbeddedDirs } from "./embedded-dirs.ts";
import { Owners } from "./owners.ts";
import { Queue } from "./queue.ts";
import { judge, type Policy, type Verdict } from "./reaper.ts";
import { inParallel } from "./width.ts";

/** An owner that ended a moment ago is often on its way back: a pass that nobody asked for gives it this long. */
const PATIENCE_MS = 300_000;
const PASS_MS = 120_000;
/** The engine does much of a removal one after the other; more at once would only keep others waiting. */
const REMOVALS_AT_ONCE = 16;
const ASK_MS = 2_000;
const REMOVE_MS = 30_000;
const NETWORK_ATTEMPTS = 4;
const NETWORK_RETRY_MS = 250;

export interface CleanupOptions {
  /** Between two passes; 0: only when somebody asks. */
  intervalMs: number;
  /** Idle for this long is aged; 0 is never. */
  maxAgeMs: number;
  /** For tests: PATIENCE_MS elsewhere. */
  patienceMs?: number;
  /** Looks at part of what was found only. */
  narrow?: (found: Found) => Found;
}

/** Nothing ages, and nobody looks unless somebody asks. */
export const ON_REQUEST: CleanupOptions = { intervalMs: 0, maxAgeMs: 0 };

export interface LastPass {
  /** Unix milliseconds. */
  at: number;
  removed: number;
  failed: number;
}

type Judged = Candidate & { verdict: Verdict };

export class Cleanup {
  last: LastPass | undefined;
  private readonly passes = new Queue();
  private readonly evidences: Evidences;

  constructor(
    private readonly house: Household,
    readonly options: CleanupOptions,
    private readonly log: Log,
    private readonly signal: AbortSignal,
  ) {
    this.evidences = new Evidences(house);
    this.schedule();
  }

  /** Because somebody asks. Faults: those of the engine, `unsupported` for `image` where it cannot be done. */
  async run(request: CleanupBody, deadline: Deadline): Promise<CleanupReport> {
    if (request.image !== undefined && !request.force) {
      throw new Fault("usage", "containers of an image that were not made by Linkspan are removed with force only");
    }
    const { maxAgeMs } = this.options;
    const policy = { maxAgeMs, patienceMs: 0, force: request.force };
    return await deadline.race(
      "the cleanup",
      this.passes.run(() => this.pass(request, policy, deadline)),
    );
  }

  private schedule(): void {
    const { intervalMs, maxAgeMs, patienceMs = PATIENCE_MS } = this.options;
    if (intervalMs === 0 || this.signal.aborted) return;
    const request = { dryRun: false, force: false };
    const pass = async () => {
      const policy = { maxAgeMs, patienceMs, force: false };
      try {
        await this.passes.run(() => this.pass(request, policy, Deadline.in(PASS_MS, this.signal)));
      } catch (error) {
        if (!this.signal.aborted) this.log.warn("the cleanup failed", { reason: Fault.from(error).message });
      }
      this.schedule();
    };
    const timer = setTimeout(() => void pass(), intervalMs);
    timer.unref();
    this.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }

  private async pass(request: CleanupBody, policy: Policy, deadline: Deadline): Promise<CleanupReport> {
    const startedAt = performance.now();
    await this.house.recovery.done(deadline);
    using owners = new Owners(this.house.ground.instance);
    const judged = await this.judgeAll(owners, request.image, policy, deadline);
    const only = request.only && new Set(request.only);
    const unwanted = judged.filter(
      ({ verdict, instance, network }) =>
        verdict.reason !== undefined && (only?.has((instance ?? network)?.id ?? "") ?? true),
    );
    const removed: CleanupItem[] = [];
    const failed: CleanupItem[] = [];
    let kept = judged.length - unwanted.length;
    const removeOne = async (candidate: Judged) => {
      try {
        if (request.dryRun || (await this.remove(candidate, deadline))) removed.push(itemOf(candidate));
        else kept += 1;
      } catch (error) {
        failed.push(itemOf(candidate, Fault.from(error).message));
      }
    };
    // Networks last: the engine refuses while a container is attached.
    await inParallel(
      unwanted.filter(({ network }) => !network),
      REMOVALS_AT_ONCE,
      removeOne,
    );
    await inParallel(
      unwanted.filter(({ network }) => network !== undefined),
      REMOVALS_AT_ONCE,
      removeOne,
    );
    if (!request.dryRun) {
      const gone = new Set(removed.map(({ id }) => id));
      const left = judged.filter(({ instance, network }) => !gone.has((instance ?? network)?.id ?? ""));
      const dirs = left.map(({ instance, network }) => parseOwner((instance ?? network)?.labels[LABEL.owner])?.dir);
      owners[Symbol.dispose]();
      // Whoever looks at a part does not know what the rest needs.
      const needed = new Set(dirs.filter((dir) => dir !== undefined));
      if (!this.options.narrow) removeEmbeddedDirs(this.house.ground.home, needed);
      this.tell(removed, failed);
    }
    const tookMs = Math.round(performance.now() - startedAt);
    return { dryRun: request.dryRun, removed, failed, kept, tookMs };
  }

  private async judgeAll(
    owners: Owners,
    image: string | undefined,
    policy: Policy,
    deadline: Deadline,
  ): Promise<Judged[]> {
    const { runtime } = this.house.ground;
    const [instances, networks, strangers] = await Promise.all([
      runtime.list({ [LABEL.managedBy]: MANAGED_BY }, deadline),
      runtime.leftovers?.networks(deadline) ?? [],
      image === undefined ? [] : this.strangers(image, deadline),
    ]);
    const { narrow = (all) => all } = this.options;
    const found = narrow({ instances, networks, strangers });
    const candidates = await this.evidences.collect(found, owners, policy, deadline);
    const judgeOne = (one: Candidate) => ({ ...one, verdict: judge(one.evidence, policy) });
    const containers = candidates.filter(({ network }) => !network).map(judgeOne);
    const goes = new Set(containers.flatMap(({ instance, verdict }) => (verdict.reason ? [instance?.id] : [])));
    // What stays may still need the network of its manager, also when it does not run now.
    const stays = new Set(
      containers.flatMap(({ instance, verdict }) => (verdict.reason ? [] : [instance?.labels[LABEL.instance]])),
    );
    const attached = candidates.map((one) => {
      if (!one.network) return [];
      const { labels, users } = one.network;
      const needed = stays.has(labels[LABEL.instance]) || users.some((id) => !goes.has(id));
      return [judgeOne({ ...one, evidence: { ...one.evidence, needed } })];
    });
    return [...containers, ...attached.flat()];
  }

  private async strangers(image: string, deadline: Deadline): Promise<Instance[]> {
    const { leftovers, kind } = this.house.ground.runtime;
    if (leftovers) return await leftovers.strangers(image, deadline);
    throw new Fault("unsupported", `the ${kind} runtime knows no images`);
  }

  /** False when it turns out to be in use after all. */
  private async remove({ instance, network, server, token, evidence }: Judged, outer: Deadline): Promise<boolean> {
    const deadline = outer.within(REMOVE_MS);
    const { runtime } = this.house.ground;
    if (network) return await this.removeNetwork(network.id, deadline);
    if (!instance) return false;
    // In one turn: a client that comes now waits until this has ended, and starts the server anew.
    if (server) return !server.busy && this.house.books.wanted(server.name) === 0 && (await server.retire(deadline));
    // Asked and ended in one step; who was not to be asked is removed because somebody said so.
    if (evidence.runs && evidence.sessions !== undefined && !(await endUnused(instance, token, deadline))) return false;
    await runtime.remove(instance.id, deadline);
    return true;
  }

  /** False when something is attached to it after all: one that stayed, or that somebody has attached meanwhile. */
  private async removeNetwork(id: string, deadline: Deadline): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.house.ground.runtime.leftovers?.removeNetwork(id, deadline);
        return true;
      } catch (error) {
        const { kind } = Fault.from(error);
        if (kind !== "conflict" && kind !== "forbidden") throw error;
        if (attempt === NETWORK_ATTEMPTS) return false;
      }
      // An engine under load still detaches a container whose removal it has confirmed.
      await sleep(NETWORK_RETRY_MS, deadline.signal);
    }
  }

  private tell(removed: CleanupItem[], failed: CleanupItem[]): void {
    this.last = { at: Date.now(), removed: removed.length, failed: failed.length };
    for (const { kind, name, server, reason, why } of removed) {
      const details = { ...(server === undefined ? {} : { server }), container: name, data: { kind, reason } };
      this.house.events.add("cleanup.removed", `the ${kind} ${name} was removed: ${why}`, details);
      this.log.info("cleaned up", { [kind]: name, reason, why });
    }
    for (const { kind, name, server, why } of failed) {
      const details = { ...(server === undefined ? {} : { server }), container: name, data: { kind } };
      this.house.events.add("cleanup.failed", `the ${kind} ${name} could not be removed: ${why}`, details);
      this.log.warn("could not clean up", { [kind]: name, reason: why });
    }
  }
}

async function endUnused({ addresses }: Instance, token: string | undefined, deadline: Deadline): Promise<boolean> {
  await using control = await dialControl({ addresses, token }, {}, deadline.within(ASK_MS));
  if (!(await control.drainWhenIdle(deadline.within(ASK_MS)))) return false;
  // A process that ends by itself is less work for the engine than one that it has to kill.
  await control.closed(deadline.within(ASK_MS)).catch(() => {});
  return true;
}

function itemOf({ instance, network, verdict }: Judged, why = verdict.why): CleanupItem {
  const thing: Instance | OwnedNetwork | undefined = instance ?? network;
  const server = thing?.labels[LABEL.server];
  const owner = thing?.labels[LABEL.instance];
  return {
    kind: network ? "network" : "container",
    id: thing?.id ?? "",
    name: thing?.name ?? "",
    ...(server === undefined ? {} : { server }),
    ...(owner === undefined ? {} : { instance: owner }),
    reason: verdict.reason ?? "orphaned",
    why,
  };
}
