/**
 * The manager's REST API as methods, one per route. The CLI and the front use it; its imports stay few and light,
 * because a front must answer in milliseconds.
 */
import * as v from "valibot";
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import {
  type CleanupBody,
  type CleanupReport,
  cleanupReport,
  type StatusView,
  statusView,
} from "../../model/cleanup.ts";
import { type ApprovalBody, type ApprovalView, approvalView } from "../../model/approval.ts";
import {
  type CallBody,
  callAnswer,
  healthView,
  type Inspection,
  inspection,
  type LogLineView,
  logLineView,
  REQUEST_MS,
  type Readiness,
  readiness,
  START_MS,
  type ServerChange,
  type StatsView,
  serverChange,
  statsView,
  type ToolResult,
  type ToolView,
  toolView,
} from "../../model/rest.ts";
import { type ManifestAnswers, type ManifestNews, manifestView } from "../../model/manifest.ts";
import type { ServerBodyInput } from "../../model/server-spec.ts";
import {
  type EventView,
  eventView,
  type ServerView,
  type SessionGrant,
  type SessionView,
  serverView,
  sessionGrant,
  sessionView,
} from "../../model/views.ts";
import type { SessionRequestInput } from "../../model/session-request.ts";
import { ManagerCalls, type Options, type ProgressOptions } from "./calls.ts";
import type { ServersDoor } from "./door.ts";
import { exchange, serverTimeout } from "./http.ts";

export type { ManagerTarget } from "./http.ts";

export interface LogQuery {
  /** The last lines to begin with; all that is kept when absent. */
  tail?: number;
  follow?: boolean;
  signal?: AbortSignal;
}

/** Every method throws a `Fault`: the manager's own, or `unreachable`, `timeout`, `cancelled` from the way there. */
export class ManagerClient extends ManagerCalls implements ServersDoor {
  get local(): boolean {
    return this.target.kind === "unix";
  }

  /** Resolves when a manager answers; `GET /health`. */
  async health(options?: Options): Promise<void> {
    await this.json(healthView, "GET", "/health", "the health check", options);
  }

  async ready(options: Options = {}): Promise<Readiness> {
    try {
      return await this.json(readiness, "GET", "/readyz", "the readiness check", options);
    } catch (error) {
      // Not ready is an answer here, not a failure: it says so in its data.
      if (error instanceof Fault && error.data?.ready === false) return { ready: false, reason: error.message };
      throw error;
    }
  }

  servers(options?: Options): Promise<ServerView[]> {
    return this.json(v.array(serverView), "GET", "/servers", "the list of servers", options);
  }

  /** `session`: as that session sees it. */
  server(name: string, { session, ...options }: Options & { session?: string } = {}): Promise<ServerView> {
    const path = session === undefined ? at(name) : `${at(name)}?session=${encodeURIComponent(session)}`;
    return this.json(serverView, "GET", path, `the state of ${name}`, options);
  }

  inspect(name: string, options?: Options): Promise<Inspection> {
    return this.json(inspection, "GET", at(name, "inspect"), `the inspection of ${name}`, options, true);
  }

  /** Starts what is defined under the name, or defines it with `body` first. Idempotent. */
  start(name: string, body: ServerBodyInput | undefined, options: ProgressOptions = {}): Promise<ServerChange> {
    return this.progress(serverChange, at(name, "start"), body ?? {}, `the start of ${name}`, options);
  }

  stop(name: string, options?: Options): Promise<ServerChange> {
    return this.json(serverChange, "POST", at(name, "stop"), `the stop of ${name}`, options, true);
  }

  restart(name: string, options: ProgressOptions = {}): Promise<ServerChange> {
    return this.progress(serverChange, at(name, "restart"), {}, `the restart of ${name}`, options);
  }

  /** Stops the server and forgets it, unless `keep` is said. Idempotent for the container, `not-found` for an unknown name. */
  async remove(name: string, { keep, ...options }: Options & { keep?: boolean } = {}): Promise<void> {
    const deadline = options.deadline ?? Deadline.in(REQUEST_MS);
    const what = `the removal of ${name}`;
    const query = { timeoutMs: serverTimeout(deadline), keep };
    await exchange(this.target, { method: "DELETE", path: at(name), query, signal: deadline.signal, what });
  }

  tools(name: string, options: Options = {}): Promise<ToolView[]> {
    const deadline = options.deadline ?? Deadline.in(START_MS);
    return this.json(v.array(toolView), "GET", at(name, "tools"), `the tools of ${name}`, { deadline }, true);
  }

  /**
   * Calls a tool. A result with `isError` is a result: the tool ran and says that it failed. Without a deadline the
   * manager's rule holds: 60 s without progress, ten minutes in all.
   */
  async call(name: string, body: CallBody, options: ProgressOptions = {}): Promise<ToolResult> {
    const what = `the call of ${body.tool}`;
    const answer = await this.progress(callAnswer, at(name, "call"), body, what, options);
    return answer.result;
  }

  /** What has changed in the tools of a server since they were accepted. */
  approval(name: string, options?: Options): Promise<ApprovalView> {
    return this.json(approvalView, "GET", at(name, "approval"), `the changes of ${name}`, options);
  }

  /** Accepts changed tools: all, or those that are named. */
  approve(name: string, body: ApprovalBody = {}, options?: Options): Promise<ApprovalView> {
    return this.json(approvalView, "POST", at(name, "approval"), `the approval of ${name}`, options, false, body);
  }

  /** Lines of the server's stderr, oldest first. With `follow` it ends when the server's container does, or the signal says so. */
  async *logs(name: string, { tail, follow = false, signal }: LogQuery = {}): AsyncGenerator<LogLineView> {
    yield* this.follow(logLineView, at(name, "logs"), { tail, follow }, `the logs of ${name}`, signal);
  }

  stats(name: string, options?: Options): Promise<StatsView> {
    return this.json(statsView, "GET", at(name, "stats"), `the figures of ${name}`, options, true);
  }

  sessions(options?: Options): Promise<SessionView[]> {
    return this.json(v.array(sessionView), "GET", "/sessions", "the list of sessions", options);
  }

  /** Opens a session for a front that dials the bridge itself; only over the manager's socket. Release it at the end. */
  acquire(request: SessionRequestInput, options: ProgressOptions = {}): Promise<SessionGrant> {
    return this.progress(sessionGrant, "/sessions", request, `the session with ${request.server}`, options);
  }

  /** What the server has answered to others, while it does not run; only over the manager's socket. */
  async manifest(request: SessionRequestInput, options: Options = {}): Promise<ManifestAnswers> {
    const what = `the manifest of ${request.server}`;
    return (await this.json(manifestView, "POST", "/sessions/manifest", what, options, false, request)).answers;
  }

  /** What the server of the session answers, for those who come while it does not run. */
  async learn(session: string, answers: ManifestNews, options: Options = {}): Promise<void> {
    const { signal } = options.deadline ?? Deadline.in(REQUEST_MS);
    const path = `/sessions/${encodeURIComponent(session)}/manifest`;
    await exchange(this.target, { method: "POST", path, body: { answers }, signal, what: "the manifest" });
  }

  /** Idempotent: a session that is gone already is no fault. */
  async release(session: string, options: Options = {}): Promise<void> {
    const { signal } = options.deadline ?? Deadline.in(REQUEST_MS);
    const path = `/sessions/${encodeURIComponent(session)}`;
    await exchange(this.target, { method: "DELETE", path, signal, what: "the release of the session" });
  }

  /** The latest events, oldest first. */
  events(limit = 100, options: Options = {}): Promise<EventView[]> {
    return this.json(v.array(eventView), "GET", `/events?limit=${limit}`, "the list of events", options);
  }

  /** The latest `limit` events, then each new one until the signal ends it. */
  async *followEvents(limit = 0, signal?: AbortSignal): AsyncGenerator<EventView> {
    yield* this.follow(eventView, "/events", { limit, follow: true }, "the events", signal);
  }

  /** Removes what nobody uses; with `dryRun` only says what that would be. */
  cleanup(body: CleanupBody, options: Options = {}): Promise<CleanupReport> {
    const deadline = options.deadline ?? Deadline.in(REQUEST_MS);
    return this.json(cleanupReport, "POST", "/cleanup", "the cleanup", { deadline }, true, body);
  }

  status(options?: Options): Promise<StatusView> {
    return this.json(statusView, "GET", "/status", "the status", options);
  }

  /** The OpenAPI document. */
  openapi(options?: Options): Promise<Record<string, unknown>> {
    return this.json(v.record(v.string(), v.unknown()), "GET", "/openapi.json", "the OpenAPI document", options);
  }
}

function at(name: string, verb?: string): string {
  return `/servers/${encodeURIComponent(name)}${verb ? `/${verb}` : ""}`;
}
