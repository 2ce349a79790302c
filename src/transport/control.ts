/** The manager's connection to a bridge: health, secrets, lease, drain and exit, and word of every server process that ends. */
import type { BridgeFrame, ExitReport, HealthReport } from "../../bridge/wire.ts";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type Connection, dial, type DialOptions } from "./dial.ts";

export interface ControlEvents {
  /** A server process has ended, of whatever session. */
  exit?(report: ExitReport): void;
  /** The last event, exactly once. The fault is absent when we closed it or the bridge ended in order. */
  ended?(fault: Fault | undefined): void;
}

/** Faults: those of `dial`. */
export async function dialControl(
  options: Omit<DialOptions, "mode" | "session" | "received">,
  events: ControlEvents,
  deadline: Deadline,
): Promise<Control> {
  return new Control(await dial({ ...options, mode: "control" }, deadline), events);
}

type Awaited = Extract<BridgeFrame["link"], "health" | "configured">;

interface Waiter {
  link: Awaited;
  resolve(frame: BridgeFrame): void;
  reject(fault: Fault): void;
}

export class Control implements AsyncDisposable {
  /** Answers come in the order of the questions. */
  private waiters: Waiter[] = [];
  private finished: Promise<void>;

  constructor(
    private readonly connection: Connection,
    events: ControlEvents,
  ) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    connection.open({
      // A control connection carries no JSON-RPC.
      payload: () => connection.destroy(),
      frame: (frame) => {
        if (frame.link === "exit") events.exit?.(frame);
        else this.answer(frame);
      },
      drained: () => {},
      closed: (fault) => {
        this.abandon(fault ?? new Fault("unreachable", "the bridge closed the control connection"));
        events.ended?.(fault);
        resolve();
      },
    });
  }

  /** Changes whenever the bridge is started anew. */
  get incarnation(): string {
    return this.connection.attached.incarnation;
  }

  /** The bridge's lease when the connection was made, milliseconds; 0: none. */
  get leaseMs(): number {
    return this.connection.attached.limits.leaseMs;
  }

  get ended(): boolean {
    return this.connection.ended;
  }

  async health(deadline: Deadline): Promise<HealthReport> {
    const frame = await this.ask("health", { link: "health" }, "the health report", deadline);
    if (frame.link !== "health") throw new Fault("unreachable", "the bridge gave no health report");
    const { link: _, ...report } = frame;
    return report;
  }

  /** Hands over secret environment for the server processes that start from now on. */
  async configure(env: Record<string, string>, deadline: Deadline): Promise<void> {
    await this.ask("configured", { link: "configure", env }, "the configuration of the bridge", deadline);
  }

  /** Renews the lease. `ttlMs` sets how long it lasts from now on; 0 lifts it. */
  lease(ttlMs?: number): void {
    this.connection.send({ link: "lease", ...(ttlMs === undefined ? {} : { ttlMs }) });
  }

  /** Ends a session whose client is known to be gone. */
  dismiss(session: string): void {
    this.connection.send({ link: "detach", session });
  }

  /** Live sessions finish, new ones are refused, then the bridge exits 0 and this connection ends. */
  drain(): void {
    this.connection.send({ link: "drain" });
  }

  /** Drains the bridge if it has no session, as one step. False: it has one, and goes on as if nothing had been asked. */
  async drainWhenIdle(deadline: Deadline): Promise<boolean> {
    const frame = await this.ask("health", { link: "drain", whenIdle: true }, "the end of an unused bridge", deadline);
    return frame.link === "health" && frame.status === "draining";
  }

  /** Every session and the bridge end within `graceMs`. */
  exit(graceMs: number): void {
    this.connection.send({ link: "exit", graceMs });
  }

  /** Resolves when the connection has ended, by whoever. */
  async closed(deadline: Deadline): Promise<void> {
    await deadline.race("the end of the bridge's control connection", this.finished);
  }

  close(): void {
    this.connection.end();
    this.connection.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  private ask(
    link: Awaited,
    frame: Parameters<Connection["send"]>[0],
    what: string,
    deadline: Deadline,
  ): Promise<BridgeFrame> {
    if (this.connection.ended) throw new Fault("unreachable", "the control connection has ended");
    const answer = new Promise<BridgeFrame>((resolve, reject) => this.waiters.push({ link, resolve, reject }));
    // The deadline may pass first; the answer that comes later still belongs to this question.
    answer.catch(() => {});
    this.connection.send(frame);
    return deadline.race(what, answer);
  }

  private answer(frame: BridgeFrame): void {
    if (frame.link === "error") {
      const fault = new Fault("server-failed", frame.message, frame.hint === undefined ? {} : { hint: frame.hint });
      this.waiters.shift()?.reject(fault);
      return;
    }
    const index = this.waiters.findIndex((waiter) => waiter.link === frame.link);
    if (index >= 0) this.waiters.splice(index, 1)[0]?.resolve(frame);
  }

  private abandon(fault: Fault): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) waiter.reject(fault);
  }
}
