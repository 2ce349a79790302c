/**
 * The manager: what runs, for whom, and in which state. REST, the TCP port and an embedded front all speak to this
 * class and to nothing behind it.
 */
import type { HealthReport } from "../../bridge/wire.ts";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerBody, ServerSpec } from "../model/server-spec.ts";
import type { EventView, ServerView, SessionGrant, SessionRequest, SessionView } from "../model/views.ts";
import type { Gap, LogLine, LogOptions, Report, Stats } from "../runtime/runtime.ts";

export type SessionKind = SessionView["kind"];

export interface Inspected {
  view: ServerView;
  /** Every default filled in; values of secrets are masked. */
  spec: ServerSpec;
  gaps: Gap[];
  /** The engine's own description; undefined when nothing exists on the engine. */
  raw: unknown;
  /** What the bridge says of itself; undefined when none answers. */
  health: HealthReport | undefined;
}

export interface Readiness {
  ready: boolean;
  reason?: string;
}

export interface Events {
  /** The last events, oldest first. */
  recent(limit: number): EventView[];
  /** Events from now on, until the signal aborts. A reader that is too slow loses the oldest and is told how many. */
  subscribe(signal: AbortSignal): AsyncIterable<EventView>;
}

const landing = () => new Fault("unsupported", "the manager is not wired up yet");

export class Manager implements AsyncDisposable {
  get events(): Events {
    throw landing();
  }

  /** Every server that is known, by name. */
  servers(): ServerView[] {
    throw landing();
  }

  /** Faults: `not-found`, with a hint that names similar ones. */
  server(_name: string): ServerView {
    throw landing();
  }

  /**
   * Resolves when the server's bridge answers. Idempotent: starts of one server at the same time are one start.
   * `body` absent: the spec known under this name. Faults: `not-found`, `conflict` (runs with another spec and has
   * sessions), `unsupported` (the engine would weaken the spec), `server-failed` with the reason.
   */
  start(_name: string, _body: ServerBody | undefined, _report: Report, _deadline: Deadline): Promise<ServerView> {
    throw landing();
  }

  /** Idempotent; also ends a start that is under way. The container stays, for its logs. */
  stop(_name: string, _deadline: Deadline): Promise<ServerView> {
    throw landing();
  }

  restart(_name: string, _report: Report, _deadline: Deadline): Promise<ServerView> {
    throw landing();
  }

  /** Stops, removes the container and forgets a spec that did not come from the configuration file. */
  remove(_name: string, _deadline: Deadline): Promise<void> {
    throw landing();
  }

  inspect(_name: string, _deadline: Deadline): Promise<Inspected> {
    throw landing();
  }

  logs(_name: string, _options: LogOptions): AsyncIterable<LogLine> {
    throw landing();
  }

  /** Faults: `unsupported` where the runtime cannot say, `conflict` when the server does not run. */
  stats(_name: string, _deadline: Deadline): Promise<Stats> {
    throw landing();
  }

  /** Starts the server if needed and opens the books for a session; the caller dials the bridge itself. */
  acquire(_request: SessionRequest, _kind: SessionKind, _report: Report, _deadline: Deadline): Promise<SessionGrant> {
    throw landing();
  }

  /** Idempotent. */
  release(_session: string): void {
    throw landing();
  }

  sessions(): SessionView[] {
    throw landing();
  }

  readiness(): Readiness {
    throw landing();
  }

  /** Refuses new work, waits for what is under way, lets go of the engine. Idempotent. */
  close(_deadline: Deadline): Promise<void> {
    throw landing();
  }

  [Symbol.asyncDispose](): Promise<void> {
    throw landing();
  }
}
