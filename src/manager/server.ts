/**
 * One server: its spec, its instance, its state. Drives the table of instances.ts over a runtime; start, stop and
 * remove of one server never overlap.
 */
import type { HealthReport } from "../../bridge/wire.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { ServerState, ServerView } from "../model/views.ts";
import type { Instance, Report, Runtime } from "../runtime/runtime.ts";
import { specHash } from "../runtime/spec-hash.ts";
import { Contact, DEFAULT_HEALTH } from "./contact.ts";
import { isNews, RESTING } from "./instances.ts";
import { type Cause, endFailed, launch, lostSecretsFault, prepareLaunch, tokenOf } from "./launch.ts";
import { leaseMs } from "./leases.ts";
import { Queue } from "./queue.ts";
import { Starting } from "./starting.ts";
import { Status } from "./status.ts";
import type { Origin, Surroundings } from "./surroundings.ts";
import { viewOf } from "./view.ts";

/** What a stop may take beyond the spec's stopTimeout, and the engine for a removal. */
const ENGINE_MS = 15_000;
const DEFAULT_STOP_MS = 5_000;

export class Server {
  readonly status: Status;
  private instance: Instance | undefined;
  readonly contact: Contact;
  private readonly starting: Starting;
  private wanted = false;
  private readonly queue = new Queue();

  constructor(
    readonly name: string,
    /** Undefined when an instance was found whose description cannot be read. */
    public spec: ServerSpec | undefined,
    public origin: Origin,
    /** Names of secrets whose values went with a lost state. */
    readonly lostSecrets: readonly string[],
    private readonly around: Surroundings,
    /** The one session that it is for, of a server that gives each one a container of its own (placements.ts). */
    readonly session?: string,
  ) {
    // Without a container of its own nothing else tells it.
    this.wanted = spec?.session === "container" && around.pins.get(name) === true;
    this.status = new Status(name, around, () => this.spec?.health.retries ?? DEFAULT_HEALTH.retries);
    const tokenFor = (instance: Instance) => tokenOf(around.ground, instance);
    this.starting = new Starting(name, this.status.breaker, (spec, cause, report, deadline) =>
      this.operate(() => this.startNow(spec, cause, report, deadline)),
    );
    this.contact = new Contact(this, this.status, around.events, tokenFor);
  }

  /** Somebody asked for it by name and has not stopped it: it stays without sessions, too. */
  get pinned(): boolean {
    return this.wanted;
  }

  set pinned(pinned: boolean) {
    this.wanted = pinned;
    this.around.pins.set(this.name, pinned);
  }

  get state(): ServerState {
    return this.status.state;
  }

  get alive(): boolean {
    return this.status.alive;
  }

  get busy(): boolean {
    return !this.queue.idle;
  }

  /** The instance on the engine, running or not. */
  get present(): Instance | undefined {
    return this.instance;
  }

  view(): ServerView {
    const { name, spec, instance } = this;
    const { sessions, room } = this.around;
    const waits = this.busy ? room.reasonFor(name) : undefined;
    const condition = { ...this.status.condition, ...(waits === undefined ? {} : { reason: waits }) };
    return viewOf({ name, spec, instance, sessions: sessions(name), condition, runtime: this.runtime.kind });
  }

  token(): string {
    if (!this.instance) throw new Fault("conflict", `${this.name} does not run`);
    return tokenOf(this.around.ground, this.instance);
  }

  private get runtime(): Runtime {
    return this.around.ground.runtime;
  }

  /** Whether it runs just as the spec says. */
  isCurrent(spec: ServerSpec): boolean {
    return this.state === "ready" && this.instance?.specHash === this.hashOf(spec);
  }

  /** A spec that was read out of a label lacks its secrets: what it stands for is the instance that carries it. */
  private hashOf(spec: ServerSpec): string {
    const found = this.origin === "label" && spec === this.spec ? this.instance?.specHash : undefined;
    return found ?? specHash(spec, this.around.ground.key);
  }

  /** Resolves when the bridge answers. Starts at the same time are one; the caller's deadline ends only its own wait. */
  async start(spec: ServerSpec, cause: Cause, report: Report, deadline: Deadline): Promise<void> {
    if (this.isCurrent(spec) && !this.busy) this.spec = spec;
    else await this.starting.join(spec, this.hashOf(spec), cause, report, deadline);
  }

  /** Ends a start that is under way, then the instance. The container stays, for its logs. */
  async stop(deadline: Deadline): Promise<void> {
    this.abortStart();
    await deadline.race(
      `the stop of ${this.name}`,
      this.operate(() => this.stopNow()),
    );
  }

  /** Nothing of it is left on the engine. */
  async remove(deadline: Deadline): Promise<void> {
    this.abortStart();
    const work = this.operate(async () => {
      await this.stopNow();
      await this.discard();
    });
    await deadline.race(`the removal of ${this.name}`, work);
  }

  /**
   * Removes it if nobody uses it; false when the bridge has sessions after all. The caller has made sure in the same turn
   * that no client is about to get one: whoever comes from now on waits for the end of this, and starts it anew.
   */
  async retire(deadline: Deadline): Promise<boolean> {
    const work = this.operate(async () => {
      if (this.alive && !(await this.contact.drainWhenIdle(deadline))) return false;
      await this.stopNow();
      await this.discard();
      return true;
    });
    return await deadline.race(`the removal of ${this.name}`, work);
  }

  /** Stops it unless somebody uses it; false if somebody does. `why` is what people see. Precautions as for `retire`. */
  async rest(why: string, deadline: Deadline): Promise<boolean> {
    const work = this.operate(async () => {
      if (!this.alive || !(await this.contact.drainWhenIdle(deadline))) return false;
      await this.stopNow(why);
      return true;
    });
    return await deadline.race(`the stop of ${this.name}`, work);
  }

  abortStart(): void {
    this.starting.abort();
  }

  /** Lets go of the bridge; what runs, runs on. */
  detach(): void {
    this.contact.end();
  }

  /** Takes over an instance that was found by its labels. */
  async adopt(instance: Instance): Promise<void> {
    await this.operate(async () => {
      if (this.alive) return;
      this.instance = instance;
      this.status.apply({ kind: "found", state: instance.state, exit: instance.exit });
      // Of one that nothing is known of the careful guess is that somebody wants it.
      this.wanted = this.alive && (this.around.pins.get(this.name) ?? true);
      if (this.alive) await this.contact.resume();
    });
  }

  /** The engine's word about an instance of this name. */
  observe(instance: Instance): void {
    const known = this.instance;
    if (!isNews(known, instance, this.busy)) return;
    const anew = known?.incarnation !== instance.incarnation;
    this.instance = instance.state === "lost" ? undefined : instance;
    const before = this.state;
    // During an operation of ours its own steps say what things mean.
    if (this.busy) return;
    this.status.apply({ kind: "engine", state: instance.state, anew, exit: instance.exit });
    if (this.state === "starting" && before !== "starting") {
      void this.operate(() => this.contact.resume());
    } else if (!this.alive) this.detach();
    else if (known && known.state !== instance.state) this.contact.probeNow();
  }

  /** What the bridge says of itself now; undefined when none answers. */
  async health(deadline: Deadline): Promise<HealthReport | undefined> {
    return await this.contact.health(deadline);
  }

  private async startNow(spec: ServerSpec, cause: Cause, report: Report, deadline: Deadline): Promise<void> {
    if (this.isCurrent(spec) || (await this.recovers(spec))) return void (this.spec = spec);
    if (spec === this.spec && this.lostSecrets.length > 0) throw lostSecretsFault(this.name, this.lostSecrets);
    const { ground, room } = this.around;
    if (spec.session === "container" && this.session === undefined) return await this.makeReady(spec, report, deadline);
    using _room = await room.admit(this, spec, cause, report, deadline);
    this.around.pins.set(this.name, this.pinned);
    if (this.alive) await prepareLaunch(ground, spec, report, deadline);
    try {
      if (this.alive) await this.stopNow();
      const leftover = this.instance;
      const fits = leftover?.specHash === this.hashOf(spec) && this.state !== "failed";
      this.spec = spec;
      this.status.apply({ kind: "start" });
      if (leftover && !fits) await this.discard();
      const seen = (instance: Instance) => {
        this.instance = instance;
        this.status.apply({ kind: "created" });
      };
      await launch(ground, spec, { ...cause, leaseMs: leaseMs(spec, this) }, report, seen, deadline);
      report({ step: "waiting for the bridge" });
      await this.contact.begin(deadline);
    } catch (error) {
      throw await this.startFailed(Fault.from(error));
    }
  }

  /** Its sessions bring containers of their own: only what those need is fetched, and one that all shared goes. */
  private async makeReady(spec: ServerSpec, report: Report, deadline: Deadline): Promise<void> {
    await prepareLaunch(this.around.ground, spec, report, deadline);
    await this.stopNow();
    await this.discard();
    this.spec = spec;
  }

  private async startFailed(cause: Fault): Promise<Fault> {
    this.detach();
    if (cause.kind === "cancelled") {
      // What ended this start, a stop or a newer start, is next in the queue and tidies up.
      this.status.apply({ kind: "stop" });
      return new Fault("cancelled", `the start of ${this.name} was ended by a stop or a newer start`);
    }
    const { instance } = this;
    const fault = await endFailed(this.runtime, instance, cause);
    // One that never ran has no log to keep it for; the launch has removed it.
    this.instance =
      !instance || instance.state === "pending" ? undefined : { ...instance, state: "ended", addresses: [] };
    this.status.apply({ kind: "failed", reason: fault.message });
    return fault;
  }

  private async stopNow(why?: string): Promise<void> {
    const { instance } = this;
    if (!this.alive && (!instance || RESTING.has(instance.state))) return;
    this.status.apply({ kind: "stop" });
    this.detach();
    try {
      const graceMs = this.spec?.stopTimeout ?? DEFAULT_STOP_MS;
      if (instance) await this.runtime.stop(instance.id, graceMs, Deadline.in(graceMs + ENGINE_MS));
    } catch (error) {
      const fault = Fault.from(error);
      this.status.apply({ kind: "failed", reason: `it could not be stopped: ${fault.message}` });
      throw fault;
    }
    // Made by a start that was ended before it ran: nothing is in it, not even a log.
    if (instance?.state === "pending") await this.discard();
    else if (this.instance) this.instance = { ...this.instance, state: "ended", addresses: [] };
    this.status.apply({ kind: "stopped", ...(why === undefined ? {} : { reason: why }) });
  }

  /** Whether what runs under this name answers after all, and so needs no new start. */
  private async recovers(spec: ServerSpec): Promise<boolean> {
    if (this.state !== "unhealthy" || this.instance?.specHash !== this.hashOf(spec)) return false;
    if (this.instance.state === "paused") {
      throw new Fault("conflict", `${this.name} is paused`, { hint: `docker unpause ${this.instance.name}` });
    }
    return await this.contact.recovers(Deadline.in(spec.health.timeout));
  }

  private async discard(): Promise<void> {
    if (this.instance) await this.runtime.remove(this.instance.id, Deadline.in(ENGINE_MS));
    this.instance = undefined;
  }

  /** The end of an operation: what the engine said meanwhile counts now. */
  private operate<T>(work: () => Promise<T>): Promise<T> {
    return this.queue.run(async () => {
      try {
        return await work();
      } finally {
        const { instance } = this;
        const state = instance?.state ?? "lost";
        if (state === "ended" || state === "lost") {
          this.status.apply({ kind: "engine", state, anew: false, exit: instance?.exit });
          if (!this.alive) this.detach();
        }
      }
    });
  }
}
