/** The line to the bridge of one server over all its instances, and what it says told to the server's state. */
import type { ExitReport, HealthReport } from "../../bridge/wire.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { Instance } from "../runtime/runtime.ts";
import { BridgeLink } from "./bridge-link.ts";
import type { EventLog } from "./events.ts";
import { endedFault } from "./launch.ts";
import { PAUSED } from "./instances.ts";
import { leaseMs } from "./leases.ts";
import type { Status } from "./status.ts";
import type { Origin } from "./surroundings.ts";

/** From a started container to the first answer of its bridge, beside the spec's own start period. */
const BRIDGE_MS = 30_000;
/** A running instance that was found again answers within this time, or is shown as unhealthy. */
const RESUME_MS = 5_000;
const HEALTH_MS = 1_000;

export const DEFAULT_HEALTH: ServerSpec["health"] = {
  interval: 30_000,
  timeout: 3_000,
  startPeriod: 5_000,
  retries: 3,
};

/** Read at the moment of use: both change over a server's life. */
interface Subject {
  readonly name: string;
  readonly spec: ServerSpec | undefined;
  readonly present: Instance | undefined;
  readonly origin: Origin;
  readonly pinned: boolean;
}

export class Contact {
  private link: BridgeLink | undefined;

  constructor(
    private readonly subject: Subject,
    private readonly status: Status,
    private readonly events: Pick<EventLog, "add">,
    private readonly tokenFor: (instance: Instance) => string,
  ) {}

  /** After a start. Faults: `server-failed` when the instance ends first, `timeout`. */
  async begin(deadline: Deadline): Promise<void> {
    const link = this.open();
    const ms = BRIDGE_MS + (this.subject.spec?.health.startPeriod ?? 0);
    await link.connect(() => endedFault(this.subject.name, this.subject.present), deadline.within(ms));
    this.status.apply({ kind: "answered", serving: false });
    void link.watch();
  }

  /** For an instance that runs already, found again or started by somebody else. */
  async resume(): Promise<void> {
    const link = this.open();
    try {
      await link.connect(() => endedFault(this.subject.name, this.subject.present), Deadline.in(RESUME_MS));
      this.status.apply({ kind: "answered", serving: false });
    } catch (error) {
      // It runs, so it stays; the probes go on and find out when it answers.
      this.status.apply({ kind: "unanswered", reason: Fault.from(error).message });
    }
    void link.watch();
  }

  async health(deadline: Deadline): Promise<HealthReport | undefined> {
    return await this.link?.ask(deadline).catch(() => undefined);
  }

  /** Whether the bridge answers after all. */
  async recovers(deadline: Deadline): Promise<boolean> {
    const { status } = (await this.health(deadline)) ?? {};
    // One process that is not well is no reason to end the others, and a new session has its own.
    if (status && status !== "unhealthy") this.status.apply({ kind: "answered", serving: false });
    return status !== undefined;
  }

  /** Whether the bridge has no session and takes none from now on. Faults: those of asking it. */
  async drainWhenIdle(deadline: Deadline): Promise<boolean> {
    return (await this.link?.drainWhenIdle(deadline)) ?? false;
  }

  /** The session's client is gone for good. */
  dismiss(session: string): void {
    this.link?.dismiss(session);
  }

  /** Whose it is may have changed, and with that its lease. */
  renewLease(): void {
    this.link?.renewLease();
  }

  /** Something has changed: what the bridge says now counts, not what it says at the next interval. */
  probeNow(): void {
    this.link?.probeNow();
  }

  end(): void {
    this.link?.close();
    this.link = undefined;
  }

  /** One that is known by its label only has what it was given. */
  private leaseMs(): number | undefined {
    const { spec, origin } = this.subject;
    return spec && origin !== "label" ? leaseMs(spec, this.subject) : undefined;
  }

  private open(): BridgeLink {
    this.end();
    const { spec, present } = this.subject;
    const options = {
      addresses: () => this.subject.present?.addresses ?? [],
      token: present ? this.tokenFor(present) : "",
      secrets: spec?.secrets ?? {},
      health: spec?.health ?? DEFAULT_HEALTH,
      leaseMs: () => this.leaseMs(),
    };
    this.link = new BridgeLink(options, {
      answered: ({ processes }) => this.status.apply({ kind: "answered", serving: processes > 0 }),
      // Whoever has paused it is the better reason.
      missed: (reason) => this.status.apply({ kind: "missed", reason: this.paused ?? reason }),
      troubled: (reason) => this.status.apply({ kind: "troubled", reason }),
      exit: (report) => this.processEnded(report),
    });
    return this.link;
  }

  private get paused(): string | undefined {
    return this.subject.present?.state === "paused" ? PAUSED : undefined;
  }

  private processEnded({ reason, session, code, signal, oom, stderr }: ExitReport): void {
    const data = { session, code, signal, oom, stderr };
    this.events.add("process.ended", reason, { server: this.subject.name, data });
    // Most end because their session did, which says nothing of the server: the bridge remembers only the others.
    void this.health(Deadline.in(HEALTH_MS)).then((health) => {
      if (health?.lastExit?.session === session) this.status.apply({ kind: "process-ended", reason });
    });
  }
}
