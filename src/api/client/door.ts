/**
 * What there is to do with servers, wherever it is done from: over the manager's REST API (`ManagerClient`), or inside
 * the manager itself (src/api/own-door.ts). Both check nothing of who asks: that is done before.
 */
import type { CleanupBody, CleanupReport, StatusView } from "../../model/cleanup.ts";
import type {
  CallBody,
  Inspection,
  LogLineView,
  ServerChange,
  StatsView,
  ToolResult,
  ToolView,
} from "../../model/rest.ts";
import type { ServerBodyInput } from "../../model/server-spec.ts";
import type { EventView, ServerView, SessionView } from "../../model/views.ts";
import type { Options, ProgressOptions } from "./calls.ts";

/** Faults are those of the routes with the same names (docs/rest.md). */
export interface ServersDoor {
  /** Whether the manager is on this machine, so that paths mean the same to it. */
  readonly local: boolean;
  servers(options?: Options): Promise<ServerView[]>;
  server(name: string, options?: Options): Promise<ServerView>;
  inspect(name: string, options?: Options): Promise<Inspection>;
  start(name: string, body: ServerBodyInput | undefined, options?: ProgressOptions): Promise<ServerChange>;
  stop(name: string, options?: Options): Promise<ServerChange>;
  restart(name: string, options?: ProgressOptions): Promise<ServerChange>;
  /** `keep`: its definition stays, so that a start brings it back. */
  remove(name: string, options?: Options & { keep?: boolean }): Promise<void>;
  tools(name: string, options?: Options): Promise<ToolView[]>;
  call(name: string, body: CallBody, options?: ProgressOptions): Promise<ToolResult>;
  /** The last `tail` lines, oldest first. */
  logs(name: string, query: { tail: number; signal: AbortSignal }): AsyncIterable<LogLineView>;
  stats(name: string, options?: Options): Promise<StatsView>;
  sessions(options?: Options): Promise<SessionView[]>;
  events(limit: number, options?: Options): Promise<EventView[]>;
  cleanup(body: CleanupBody, options?: Options): Promise<CleanupReport>;
  status(options?: Options): Promise<StatusView>;
}
