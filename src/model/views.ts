/** What the manager says over REST: the shapes that the CLI, the front and other programs rely on. */
import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

export const serverState = v.picklist([
  "defined",
  "creating",
  "starting",
  "ready",
  "unhealthy",
  "stopping",
  "stopped",
  "failed",
]);
/** `defined`: known, never started. The others are the states of an instance. */
export type ServerState = v.InferOutput<typeof serverState>;

export const address = v.variant("kind", [
  v.object({ kind: v.literal("tcp"), host: v.string(), port: count }),
  v.object({ kind: v.literal("unix"), path: v.string() }),
]);

/** One entry of `GET /servers` and the answer of start, stop and restart. */
export const serverView = v.object({
  name: v.string(),
  image: v.string(),
  state: serverState,
  /** Why it is in this state, where there is something to say (`failed`, `unhealthy`). */
  reason: v.optional(v.string()),
  runtime: v.string(),
  /** The container's (or process's) id and name. */
  id: v.optional(v.string()),
  container: v.optional(v.string()),
  addresses: v.array(address),
  sessions: count,
  /** Of a server that gives each session a container of its own: how many there are. */
  containers: v.optional(count),
  network: v.string(),
  /** Unix milliseconds of the start of the running incarnation. */
  since: v.optional(v.number()),
});
export type ServerView = v.InferOutput<typeof serverView>;

/** `POST /sessions`: all that a front needs to dial the bridge itself. Only over the manager's own socket. */
export const sessionGrant = v.object({
  /** `mcp-session-{PPID}-{PID}-{timestamp}[-{terminal}]` */
  session: v.string(),
  server: v.string(),
  addresses: v.array(address),
  token: v.string(),
  messageBytes: count,
  /** A front gives the session up after so long without a request; absent: never. */
  idleMs: v.optional(count),
});
export type SessionGrant = v.InferOutput<typeof sessionGrant>;

/** One entry of `GET /sessions`. */
export const sessionView = v.object({
  session: v.string(),
  server: v.string(),
  kind: v.picklist(["front", "tcp", "gateway", "manager"]),
  pid: v.optional(count),
  since: v.number(),
});
export type SessionView = v.InferOutput<typeof sessionView>;

/** RFC 9457 problem body. */
export const problem = v.object({
  type: v.string(),
  title: v.string(),
  status: count,
  detail: v.string(),
  kind: v.string(),
  hint: v.optional(v.string()),
  data: v.optional(v.record(v.string(), v.unknown())),
});
export type Problem = v.InferOutput<typeof problem>;

/** One entry of `GET /events`. */
export const eventView = v.object({
  /** Unix milliseconds. */
  at: v.number(),
  kind: v.string(),
  server: v.optional(v.string()),
  /** The container's (or process's) name, where there is one. */
  container: v.optional(v.string()),
  message: v.string(),
  data: v.optional(v.record(v.string(), v.unknown())),
});
export type EventView = v.InferOutput<typeof eventView>;

/** One line of the progress stream while a server starts (NDJSON body of a start with `Accept: application/x-ndjson`). */
export const progressView = v.object({
  step: v.string(),
  detail: v.optional(v.string()),
  current: v.optional(v.number()),
  total: v.optional(v.number()),
});
export type ProgressView = v.InferOutput<typeof progressView>;

/** What all servers together have of what they may have. */
export const budgetView = v.object({
  /** Containers (or processes) that run or are being started or stopped. */
  containers: count,
  /** Absent without a bound. */
  containersMax: v.optional(count),
  /** The sum of their limits. */
  memoryBytes: count,
  memoryBytesMax: v.optional(count),
  /** Servers whose start waits for room, in the order of their turns. */
  waiting: v.array(v.string()),
});
export type BudgetView = v.InferOutput<typeof budgetView>;
