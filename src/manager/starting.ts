/** The start of a server that is under way: whoever wants the same joins it, whoever wants another one ends it. */
import type { Breaker } from "../../bridge/breaker.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerSpec } from "../model/server-spec.ts";
import type { Progress, Report } from "../runtime/runtime.ts";
import { ALWAYS, type Cause } from "./launch.ts";

/** A whole start, the fetching of an image included. */
const START_MS = 600_000;

interface Underway {
  hash: string;
  done: Promise<void>;
  abort: AbortController;
  reports: Set<Report>;
}

export class Starting {
  private underway: Underway | undefined;

  constructor(
    private readonly name: string,
    private readonly breaker: Breaker,
    private readonly run: (spec: ServerSpec, cause: Cause, report: Report, deadline: Deadline) => Promise<void>,
  ) {}

  /**
   * Resolves when the server has started; the caller's deadline ends only its own wait. Faults: `server-failed` at once
   * while the server is left alone, unless somebody has asked for it by name.
   */
  async join(spec: ServerSpec, hash: string, cause: Cause, report: Report, deadline: Deadline): Promise<void> {
    if (!this.underway && byItself(cause)) this.refuseLoop();
    const start = this.underway?.hash === hash ? this.underway : this.begin(spec, hash, cause);
    start.reports.add(report);
    try {
      await deadline.race(`the start of ${this.name}`, start.done);
    } finally {
      start.reports.delete(report);
    }
  }

  private refuseLoop(): void {
    if (this.breaker.restMs() === 0) return;
    throw new Fault("server-failed", `${this.name}: ${this.breaker.describe()}`, {
      hint: `To try it now: linkspan start ${this.name}`,
    });
  }

  abort(): void {
    this.underway?.abort.abort();
    this.underway = undefined;
  }

  private begin(spec: ServerSpec, hash: string, cause: Cause): Underway {
    // Another spec is wanted now: what is under way with the old one would only be replaced.
    this.abort();
    const abort = new AbortController();
    const reports = new Set<Report>();
    const report = (progress: Progress) => {
      for (const one of reports) one(progress);
    };
    const done = this.run(spec, cause, report, Deadline.in(START_MS, abort.signal));
    const underway: Underway = { hash, done, abort, reports };
    this.underway = underway;
    // Whoever waits hears of a failure; nobody may be waiting any more.
    done
      .catch((error: unknown) => {
        // An engine that does not answer, an image that is missing: those say nothing of the server.
        const { kind, message } = Fault.from(error);
        if (kind === "server-failed") this.breaker.failed(message);
      })
      .finally(() => {
        if (this.underway === underway) this.underway = undefined;
      });
    return underway;
  }
}

/** Nobody has asked for the server by name. */
function byItself({ client, session }: Cause): boolean {
  return session !== undefined || client === ALWAYS;
}
