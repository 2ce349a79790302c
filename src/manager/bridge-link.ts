/**
 * The manager's line to one bridge: connects, hands over the secrets, asks for health at the spec's interval, hears of
 * server processes that end, and connects again when the line breaks.
 */
import type { ExitReport, HealthReport } from "../../bridge/wire.ts";
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { Address } from "../runtime/runtime.ts";
import { type Control, dialControl } from "../transport/control.ts";

/** Between two attempts to reach a bridge that is just starting: quick at first, since most answer within 100 ms. */
const RETRY_FIRST_MS = 5;
const RETRY_MAX_MS = 250;
/** One attempt while the bridge is starting: a packet to an address that is not there yet may get no answer at all. */
const ATTEMPT_MS = 2_000;
/** The longest time in which a change of the lease goes unnoticed is a third of this. */
const RENEWAL_MS = 300_000;
/** After a probe that failed the next one does not wait for the whole interval. */
const AFTER_MISS_MS = 1_000;

export interface LinkEvents {
  answered(report: HealthReport): void;
  /** It does not answer, or says that a server process does not: that may pass. */
  missed(reason: string): void;
  /** It says what is wrong, and there is no doubt about it. */
  troubled(reason: string): void;
  exit(report: ExitReport): void;
}

export interface LinkOptions {
  /** Read at every attempt: a container that is started anew may have another address. */
  addresses: () => readonly Address[];
  token: string;
  secrets: Record<string, string>;
  health: ServerSpec["health"];
  /**
   * How long the bridge is to wait for a sign of its owners, 0 for ever; undefined: as long as it does by itself. Read at
   * every renewal: a server may become somebody else's.
   */
  leaseMs: () => number | undefined;
}

export class BridgeLink {
  private control: Control | undefined;
  private dialling: Promise<Control> | undefined;
  /** The bridge that has the secrets already. */
  private configured: string | undefined;
  private readonly stopped = new AbortController();
  private wake = () => {};
  private urgent = false;
  private renewal: ReturnType<typeof setTimeout> | undefined;
  /** What the bridge has, as far as we know; 0: none. */
  private leaseMs = 0;

  constructor(
    private readonly options: LinkOptions,
    private readonly events: LinkEvents,
  ) {}

  /**
   * Resolves when the bridge answers for the first time. `over` says why trying on is pointless, such as a container
   * that has ended. Faults: that one, `timeout` with the last reason, and refusals of the bridge.
   */
  async connect(over: () => Fault | undefined, deadline: Deadline): Promise<HealthReport> {
    let waitMs = RETRY_FIRST_MS;
    for (;;) {
      const ended = over();
      if (ended) throw ended;
      try {
        return await this.ask(deadline.within(ATTEMPT_MS));
      } catch (error) {
        const fault = Fault.from(error);
        if (fault.kind !== "unreachable" && fault.kind !== "timeout") throw fault;
        if (deadline.passed) {
          const within = `within ${Math.round(deadline.totalMs)} ms`;
          throw new Fault("timeout", `the bridge did not answer ${within}: ${fault.message}`);
        }
      }
      await sleep(Math.min(waitMs, deadline.remainingMs), deadline.signal).catch(() => {});
      waitMs = Math.min(RETRY_MAX_MS, waitMs * 2);
    }
  }

  /** Asks at the interval until `close`, and renews the lease. */
  async watch(): Promise<void> {
    this.renewInTime();
    const { interval, timeout } = this.options.health;
    let waitMs = interval;
    while (!this.stopped.signal.aborted) {
      await this.pause(waitMs);
      if (this.stopped.signal.aborted) return;
      try {
        const report = await this.ask(Deadline.in(timeout, this.stopped.signal));
        if (this.stopped.signal.aborted) return;
        this.tell(report);
        waitMs = report.status === "unhealthy" ? Math.min(interval, AFTER_MISS_MS) : interval;
      } catch (error) {
        if (this.stopped.signal.aborted) return;
        this.events.missed(`the bridge does not answer: ${Fault.from(error).message}`);
        waitMs = Math.min(interval, AFTER_MISS_MS);
      }
    }
  }

  private tell(report: HealthReport): void {
    if (report.status !== "unhealthy") return this.events.answered(report);
    const { trouble } = report;
    if (trouble?.kind === "silent") this.events.missed(trouble.message);
    else this.events.troubled(trouble?.message ?? "the bridge says that its server is unhealthy");
  }

  /** A probe now. Faults: `unreachable`, `timeout`, refusals of the bridge. */
  async ask(deadline: Deadline): Promise<HealthReport> {
    const control = await this.connected(deadline);
    return await control.health(deadline);
  }

  /** Drains the bridge if it has no session; false when it has one. Faults: as `ask`. */
  async drainWhenIdle(deadline: Deadline): Promise<boolean> {
    const control = await this.connected(deadline);
    return await control.drainWhenIdle(deadline);
  }

  /** Ends a session whose client is gone; where no line is open, the bridge ends it by itself some time later. */
  dismiss(session: string): void {
    if (this.control && !this.control.ended) this.control.dismiss(session);
  }

  /** Does not wait for the interval, once. */
  probeNow(): void {
    this.urgent = true;
    this.wake();
  }

  /** Now, and not only after another third of it. */
  renewLease(): void {
    if (this.control && !this.control.ended) this.renew(this.control);
  }

  close(): void {
    clearTimeout(this.renewal);
    this.stopped.abort();
    this.control?.close();
    this.control = undefined;
    this.wake();
  }

  /** Three times in a lease; health may be asked for more rarely than that. */
  private renewInTime(): void {
    const leaseMs = this.options.leaseMs() ?? this.leaseMs;
    const everyMs = Math.min(leaseMs > 0 ? leaseMs : RENEWAL_MS, this.leaseMs > 0 ? this.leaseMs : RENEWAL_MS) / 3;
    this.renewal = setTimeout(() => {
      if (this.control && !this.control.ended) this.renew(this.control);
      else this.probeNow();
      this.renewInTime();
    }, everyMs);
  }

  private renew(control: Control): void {
    const wanted = this.options.leaseMs() ?? this.leaseMs;
    control.lease(wanted === this.leaseMs ? undefined : wanted);
    this.leaseMs = wanted;
  }

  private async connected(deadline: Deadline): Promise<Control> {
    if (this.control && !this.control.ended) return this.control;
    this.dialling ??= this.dial(deadline).finally(() => {
      this.dialling = undefined;
    });
    return await deadline.race("connecting to the bridge", this.dialling);
  }

  private async dial(deadline: Deadline): Promise<Control> {
    const control = await dialControl(
      { addresses: this.options.addresses(), token: this.options.token },
      {
        exit: (report) => this.events.exit(report),
        // A bridge that died is noticed now, not at the next interval.
        ended: () => this.probeNow(),
      },
      deadline,
    );
    try {
      const { secrets } = this.options;
      if (Object.keys(secrets).length > 0 && this.configured !== control.incarnation) {
        await control.configure(secrets, deadline);
        this.configured = control.incarnation;
      }
      if (this.stopped.signal.aborted) throw new Fault("cancelled", "the connection is not wanted any more");
    } catch (error) {
      control.close();
      throw error;
    }
    this.control = control;
    this.leaseMs = control.leaseMs;
    this.renew(control);
    return control;
  }

  private async pause(ms: number): Promise<void> {
    const woken = new AbortController();
    this.wake = () => woken.abort();
    if (!this.urgent) await sleep(ms, woken.signal).catch(() => {});
    this.urgent = false;
  }
}
