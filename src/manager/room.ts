/**
 * Room for one more server within the budget (budget.ts): stops the least recently used one that nobody needs, or lets
 * the start wait for its turn. A server is asked before it is stopped, and its bridge says no while it has a session, so
 * no request is ever cut. What runs is counted as it is now, never from a ledger: a manager that starts anew finds the
 * same sum in the labels.
 */
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { BudgetView } from "../model/views.ts";
import type { Report } from "../runtime/runtime.ts";
import { type Budget, plan, type Tenant } from "./budget.ts";
import type { EventLog } from "./events.ts";
import { IdleClock } from "./idle.ts";
import type { Cause } from "./launch.ts";
import { Turns } from "./turns.ts";

/** What the budget needs to know of a server, and to ask of it. */
export interface Occupant {
  readonly name: string;
  readonly alive: boolean;
  /** An operation is under way or waits. */
  readonly busy: boolean;
  readonly pinned: boolean;
  readonly spec: ServerSpec | undefined;
  /** Stops it unless somebody uses it; false if somebody does. */
  rest(why: string, deadline: Deadline): Promise<boolean>;
}

export interface RoomOptions extends Budget {
  /** How long a start waits for its turn. */
  wait: number;
}

export interface Neighbours {
  events: EventLog;
  log: Log;
  /** Everything that may run. */
  servers(): Occupant[];
  /** Clients that have a session with it or are about to get one. */
  wanted(server: string): number;
  /** The same without sessions of our own tool calls, which are opened again at will. */
  users(server: string): number;
  /** Gives up our own session with it unless a call is under way. */
  letGo(server: string): Promise<unknown>;
}

/** Starts that wait at the same time. */
const WAITING_MAX = 256;
/** Sessions that an earlier manager gave end without a word to us. */
const LOOK_MS = 1_000;
/** A front takes a minute without a word for a start that hangs. */
const REPORT_MS = 5_000;
const REST_MS = 30_000;
/** A session that was given up is over when its server process is: that takes this long at most. */
const LEAVING_MS = 5_000;
const LEAVING_POLL_MS = 100;
/** Of an instance whose description cannot be read: the default limit. */
const UNKNOWN_MEMORY = 512 * 1024 ** 2;
/** After these somebody may have left. */
const CHANGE = /^(session\.closed|server\.(ready|stopped|failed|removed)|cleanup\.removed)$/;

interface Waiting {
  server: Occupant;
  memory: number;
  granted: PromiseWithResolvers<void>;
}

export class Room {
  private readonly turns = new Turns<Waiting>();
  /** Granted to starts that have not shown yet: their servers are not alive before the first step. */
  private readonly granted = new Map<Occupant, number>();
  private readonly idle = new IdleClock();
  private working = false;
  /** The one for which others are being stopped now. */
  private serving: Waiting | undefined;
  private round = Promise.resolve();
  private again = false;

  constructor(
    readonly budget: RoomOptions,
    private readonly around: Neighbours,
  ) {
    around.events.listen((event) => {
      this.idle.heard(event);
      if (this.turns.size > 0 && CHANGE.test(event.kind)) this.serve();
    });
  }

  /**
   * Resolves when the server may start; dispose of the result when it has, or has failed to. Faults: `exhausted` with
   * what is in the way, when the whole budget is too small or nobody left in time; the caller's `cancelled`.
   */
  async admit(
    server: Occupant,
    spec: ServerSpec,
    cause: Cause,
    report: Report,
    deadline: Deadline,
  ): Promise<Disposable> {
    if (this.budget.containers === undefined && this.budget.memory === undefined) return { [Symbol.dispose]: () => {} };
    if (this.turns.size >= WAITING_MAX) {
      throw new Fault("exhausted", `${WAITING_MAX} starts wait for room in the budget already`, HINT);
    }
    const waiting = { server, memory: spec.limits.memory, granted: Promise.withResolvers<void>() };
    this.turns.add(cause.client, waiting);
    this.serve();
    // What can be decided without asking anybody is decided by now.
    if (!this.granted.has(server)) report({ step: "waiting for room", detail: this.lineOf(waiting) });
    const timer = setInterval(() => this.serve(), LOOK_MS);
    const told = setInterval(() => report({ step: "waiting for room", detail: this.lineOf(waiting) }), REPORT_MS);
    try {
      await this.turnOf(waiting, deadline);
    } catch (error) {
      // It may have been granted in the moment in which nobody wanted it any more.
      this.granted.delete(server);
      throw error;
    } finally {
      clearInterval(timer);
      clearInterval(told);
      this.turns.remove(waiting);
    }
    return { [Symbol.dispose]: () => void this.granted.delete(server) };
  }

  /** Why the server does not run yet; undefined unless it waits. */
  reasonFor(name: string): string | undefined {
    const waiting = this.turns.list().find(({ server }) => server.name === name);
    return waiting && `it waits for room: ${this.lineOf(waiting)}`;
  }

  view(): BudgetView {
    const tenants = this.tenants(undefined, new Set());
    const { containers, memory } = this.budget;
    return {
      containers: tenants.length,
      memoryBytes: sum(tenants),
      ...(containers === undefined ? {} : { containersMax: containers }),
      ...(memory === undefined ? {} : { memoryBytesMax: memory }),
      waiting: this.turns.list().map(({ server }) => server.name),
    };
  }

  private async turnOf(waiting: Waiting, deadline: Deadline): Promise<void> {
    const { promise } = waiting.granted;
    try {
      return await deadline.within(this.budget.wait).race("waiting for room", promise);
    } catch (error) {
      const fault = Fault.from(error);
      if (fault.kind !== "timeout") throw fault;
    }
    // Others are being stopped for it at this moment, which is no time to give up.
    if (this.serving === waiting) await deadline.race("making room", Promise.race([promise, this.round]));
    if (this.granted.has(waiting.server)) return;
    throw this.full(waiting.server.name);
  }

  private serve(): void {
    this.again = true;
    if (this.working) return;
    this.working = true;
    this.round = this.work().finally(() => {
      this.working = false;
      if (this.again && this.turns.size > 0) this.serve();
    });
  }

  /** Serves one head after the other until one has to wait. Never throws. */
  private async work(): Promise<void> {
    while (this.again) {
      this.again = false;
      const busy = new Set<Occupant>();
      for (let head = this.turns.head(); head; head = this.turns.head()) {
        const next = plan(this.budget, this.tenants(head.server, busy), head.memory);
        if (next.kind === "wait") break;
        if (next.kind === "evict") {
          this.serving = head;
          await this.evict(next.victims, head.server.name, busy);
          this.serving = undefined;
          continue;
        }
        this.turns.take();
        if (next.kind === "never") {
          head.granted.reject(this.tooSmall(head));
          continue;
        }
        this.granted.set(head.server, head.memory);
        head.granted.resolve();
      }
    }
  }

  /** Those that turn out to be in use go into `busy`. */
  private async evict(victims: Occupant[], server: string, busy: Set<Occupant>): Promise<void> {
    const why = `it was stopped to make room for ${server}: nobody used it`;
    const stopOne = async (victim: Occupant) => {
      try {
        await this.around.letGo(victim.name);
        // Of one that was used a moment ago a session may still be on its way out.
        const until = Deadline.in(this.idle.idleMs(victim.name) < LEAVING_MS ? LEAVING_MS : 0);
        while (this.mayRest(victim) && this.around.wanted(victim.name) === 0) {
          if (await victim.rest(why, Deadline.in(REST_MS))) return;
          if (until.passed) break;
          await sleep(LEAVING_POLL_MS);
        }
      } catch (error) {
        this.around.log.warn("a server could not be stopped to make room", {
          server: victim.name,
          reason: Fault.from(error).message,
        });
      }
      busy.add(victim);
    };
    await Promise.all(victims.map(stopOne));
  }

  private tenants(without: Occupant | undefined, busy: ReadonlySet<Occupant>): Tenant<Occupant>[] {
    const known = new Set([...this.around.servers().filter(({ alive }) => alive), ...this.granted.keys()]);
    return [...known]
      .filter((server) => server !== without)
      .map((server) => ({
        who: server,
        memory: Math.max(this.granted.get(server) ?? 0, server.spec?.limits.memory ?? UNKNOWN_MEMORY),
        idleMs: this.idle.idleMs(server.name),
        movable: !busy.has(server) && this.mayRest(server),
      }));
  }

  private mayRest(server: Occupant): boolean {
    const { name, alive, busy, pinned, spec } = server;
    if (!alive || busy || pinned || this.granted.has(server)) return false;
    if (!spec || spec.lease === "none" || spec.start === "always") return false;
    return this.around.users(name) === 0;
  }

  private lineOf(waiting: Waiting): string {
    const place = this.turns.list().indexOf(waiting) + 1;
    return `${place > 1 ? `${place - 1} before it; ` : ""}${this.used()}`;
  }

  private used(): string {
    const { containers, memory } = this.budget;
    const tenants = this.tenants(undefined, new Set());
    const bounds = [
      ...(containers === undefined ? [] : [`${tenants.length} of ${containers} containers`]),
      ...(memory === undefined ? [] : [`${inMib(sum(tenants))} of ${inMib(memory)} MiB`]),
    ];
    const names = tenants.map(({ who }) => who.name).toSorted();
    const shown = names.slice(0, SHOWN).join(", ") + (names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "");
    return `${bounds.join(" and ")} are in use (${shown})`;
  }

  private full(name: string): Fault {
    const message = `no room for ${name} within ${Math.round(this.budget.wait / 1000)} s: ${this.used()}`;
    return new Fault("exhausted", message, { ...HINT, data: { budget: this.view() } });
  }

  private tooSmall({ server, memory }: Waiting): Fault {
    const message = `${server.name} may use ${inMib(memory)} MiB, the budget of all servers is ${inMib(this.budget.memory ?? 0)} MiB`;
    return new Fault("exhausted", message, { hint: "Lower its limits.memory, or raise manager.budget.memory." });
  }
}

const SHOWN = 5;
const HINT = {
  hint: "Raise manager.budget in linkspan.yaml, end clients that are not needed, or stop a server: linkspan stop NAME",
};

function sum(tenants: readonly Tenant<Occupant>[]): number {
  return tenants.reduce((total, { memory }) => total + memory, 0);
}

function inMib(bytes: number): number {
  return Math.round(bytes / 1024 ** 2);
}
