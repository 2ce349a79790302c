/** What can be found out about each thing on the engine that some manager has made; reaper.ts says what follows. */
import type { Deadline } from "../base/deadline.ts";
import { LABEL } from "../runtime/labels.ts";
import type { Instance, OwnedNetwork } from "../runtime/runtime.ts";
import { dialControl } from "../transport/control.ts";
import type { EventLog } from "./events.ts";
import { IdleClock } from "./idle.ts";
import type { Ground } from "./launch.ts";
import { clientOf } from "./legacy.ts";
import type { OwnerView, Owners } from "./owners.ts";
import type { Evidence, Policy } from "./reaper.ts";
import { type Recovery, sealedSpec } from "./recovery.ts";
import type { Registry } from "./registry.ts";
import type { Server } from "./server.ts";
import type { Sessions } from "./sessions.ts";
import { bridgeToken } from "./tokens.ts";
import { inParallel } from "./width.ts";

/** What the cleanup needs of the manager. */
export interface Household {
  ground: Ground;
  events: EventLog;
  recovery: Pick<Recovery, "done">;
  registry: Pick<Registry, "of">;
  books: Pick<Sessions, "wanted">;
}

export interface Found {
  instances: Instance[];
  networks: OwnedNetwork[];
  /** Containers of an image that somebody has named. */
  strangers: Instance[];
}

/** Something with what is known of it. */
export interface Candidate {
  evidence: Evidence;
  /** One of the two. */
  instance?: Instance;
  network?: OwnedNetwork;
  /** Of ours: the server that it is the instance of. */
  server?: Server;
  /** What its bridge answers to. */
  token?: string;
}

/** Bridges asked at the same time. */
const ASKED_AT_ONCE = 16;
/** A bridge that lives answers in milliseconds; one that does not answer stays, so there is no reason to wait for long. */
const ASK_MS = 1_000;
const RUNS: ReadonlySet<Instance["state"]> = new Set(["starting", "running", "paused", "draining"]);

const BASE = {
  ownerDeadMs: 0,
  runs: false,
  needed: false,
  busy: false,
  pinned: false,
  sessions: undefined,
  client: "unnamed",
  idleMs: 0,
} satisfies Partial<Evidence>;

export class Evidences {
  /** By owner: when it was first seen to be gone, on the monotonic clock. */
  private readonly deadSince = new Map<string, number>();
  private readonly idle = new IdleClock();

  constructor(
    private readonly house: Household,
    private readonly now: () => number = () => performance.now(),
  ) {
    house.events.listen((event) => this.idle.heard(event));
  }

  /** Never faults: what cannot be found out is left open. */
  async collect(found: Found, owners: Owners, policy: Policy, deadline: Deadline): Promise<Candidate[]> {
    const candidates = found.instances.map((instance) => this.ofInstance(instance, owners.of(instance.labels)));
    await inParallel(
      candidates.filter((candidate) => isWorthAsking(candidate, policy)),
      ASKED_AT_ONCE,
      (candidate) => this.ask(candidate, deadline),
    );
    this.forgetLiving(found, owners);
    return [
      // Looked at again without a wait before the judgement: meanwhile somebody may have come.
      ...candidates.map((candidate) => ({ ...candidate, evidence: this.inHand(candidate) })),
      ...found.networks.map((network) => this.ofNetwork(network, owners.of(network.labels))),
      ...found.strangers.map((instance) => ofStranger(instance)),
    ];
  }

  private ofInstance(instance: Instance, { standing, key }: OwnerView): Candidate {
    const { labels } = instance;
    const name = labels[LABEL.server];
    const isHelper = name === undefined && labels[LABEL.instance] === undefined;
    const own = standing === "self" && name !== undefined ? this.house.registry.of(labels) : undefined;
    const server = own?.present?.id === instance.id ? own : undefined;
    const secret = standing === "self" ? this.house.ground.key : key;
    const evidence: Evidence = {
      ...BASE,
      kind: isHelper ? "helper" : "server",
      owner: standing,
      ownerDeadMs: this.deadMs(labels, standing),
      runs: RUNS.has(instance.state),
      needed: server !== undefined,
      idleMs: server ? this.idle.idleMs(server.name) : 0,
      pinned: server ? server.pinned : key !== undefined && sealedSpec(key, instance).spec?.lease === "none",
    };
    const token = secret && bridgeToken(secret, labels[LABEL.nonce] ?? "");
    return { evidence, instance, ...(server ? { server } : {}), ...(token === undefined ? {} : { token }) };
  }

  private ofNetwork(network: OwnedNetwork, { standing }: OwnerView): Candidate {
    const ownerDeadMs = this.deadMs(network.labels, standing);
    return {
      network,
      evidence: { ...BASE, kind: "network", owner: standing, ownerDeadMs, needed: network.users.length > 0 },
    };
  }

  /** What the manager itself does with it at this moment. */
  private inHand({ evidence, instance }: Candidate): Evidence {
    if (evidence.owner !== "self") return evidence;
    const name = instance?.labels[LABEL.server] ?? "";
    return {
      ...evidence,
      busy:
        (this.house.registry.of(instance?.labels ?? {})?.busy ?? false) ||
        (evidence.needed && this.house.books.wanted(name) > 0),
    };
  }

  private async ask(candidate: Candidate, deadline: Deadline): Promise<void> {
    const { instance, token, evidence, server } = candidate;
    const until = deadline.within(ASK_MS);
    try {
      await using control = await dialControl({ addresses: instance?.addresses ?? [], token }, {}, until);
      const { sessions } = await control.health(until);
      evidence.sessions = sessions;
      // Sessions that an earlier manager gave are in no books of ours.
      if (sessions > 0 && server) this.idle.touch(server.name);
    } catch {
      // Unknown, which is what the evidence says.
    }
  }

  private deadMs(labels: Instance["labels"], standing: OwnerView["standing"]): number {
    if (standing !== "dead") return 0;
    const owner = ownerKey(labels);
    const since = this.deadSince.get(owner) ?? this.now();
    this.deadSince.set(owner, since);
    return this.now() - since;
  }

  /** An owner that came back, or of which nothing is left, begins anew. */
  private forgetLiving({ instances, networks }: Found, owners: Owners): void {
    const dead = new Set<string>();
    for (const { labels } of [...instances, ...networks]) {
      if (owners.of(labels).standing === "dead") dead.add(ownerKey(labels));
    }
    for (const owner of this.deadSince.keys()) if (!dead.has(owner)) this.deadSince.delete(owner);
  }
}

/** Sparing: a bridge is asked only when its answer decides. */
function isWorthAsking({ evidence, token }: Candidate, { maxAgeMs }: Policy): boolean {
  if (!evidence.runs || token === undefined) return false;
  if (evidence.owner === "dead") return true;
  return !evidence.needed || (!evidence.pinned && maxAgeMs > 0 && evidence.idleMs >= maxAgeMs);
}

function ofStranger(instance: Instance): Candidate {
  const runs = RUNS.has(instance.state);
  // Nobody has watched it: its own age is all there is.
  const idleMs = Math.max(0, Date.now() - instance.since);
  const client = clientOf(instance.labels);
  return { instance, evidence: { ...BASE, kind: "stranger", owner: "none", runs, client, idleMs } };
}

function ownerKey(labels: Instance["labels"]): string {
  return `${labels[LABEL.instance] ?? ""} ${labels[LABEL.owner] ?? ""}`;
}
