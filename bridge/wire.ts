/**
 * The wire between a dialler (front, manager, plain client) and the bridge: the contract that docs/wire.md describes
 * byte by byte. One UTF-8 line per message. A JSON-RPC message is forwarded unchanged; a control frame begins with
 * the bytes `{"link":`, which no JSON-RPC message does, so one prefix compare tells them apart.
 */
import * as v from "valibot";

export const WIRE_VERSION = 1;
/** The first bytes of every control frame; no white space in front of or inside them. */
export const CONTROL_PREFIX = '{"link":';
/** The port on which an injected bridge listens inside its container ("link" on a telephone keypad). */
export const BRIDGE_PORT = 5465;
/**
 * Variables to start a bridge with; they do not reach its servers. JavaScriptCore would touch memory in advance for a
 * heap that it expects to grow, more than half a megabyte for each bridge.
 */
export const BRIDGE_ENV = { BUN_JSC_useWarmUpMarkedBlocks: "0" } as const;

/** Limits of the wire (faults.md "Default limits"). */
export const LIMITS = {
  /** The longest JSON-RPC message, newline excluded. */
  messageBytes: 16 * 1024 * 1024,
  messageBytesMax: 64 * 1024 * 1024,
  /** The longest control frame. */
  controlBytes: 256 * 1024,
  /** The longest first line of a connection that has to authenticate. */
  attachBytes: 16 * 1024,
  /** A receiver acknowledges after so many messages, so many bytes or so long a time, whichever comes first. */
  ackMessages: 256,
  ackBytes: 64 * 1024,
  ackMs: 200,
  /** Sent and not acknowledged, kept for a resume; then the source is paused. */
  replayBytes: 4 * 1024 * 1024,
  /** A session whose connection broke waits this long for its client. */
  resumeMs: 30_000,
  /** Bytes queued towards one slow reader before the source is paused. */
  queueBytes: 4 * 1024 * 1024,
  /** All such queues of one bridge together (room.ts), but each may have `queueBytesMin`. */
  queuesBytes: 64 * 1024 * 1024,
  queueBytesMin: 128 * 1024,
  /** A reader that takes nothing for this long while its queue is full is cut. */
  stalledMs: 10_000,
  /** From connect to an authenticated attach. */
  authenticateMs: 2_000,
  connections: 1_024,
  /** From attach to the `configure` that a bridge started with --await-configure waits for. */
  configureMs: 10_000,
  /** Kept per stderr line; the rest of the line is dropped. */
  stderrLineBytes: 64 * 1024,
  /** Last stderr lines reported with an exit. */
  stderrTailLines: 20,
  /** Of each of them: the frame that carries them must stay a control frame. */
  stderrTailLineBytes: 2 * 1024,
  /** After stdin end, and again after SIGTERM, a server has this long to end. */
  stopStepMs: 2_000,
  drainMs: 30_000,
} as const;

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const text = v.pipe(v.string(), v.maxLength(4096));
const id = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._:-]{1,200}$/));

/** Frames that a dialler sends. Unknown fields are ignored, so that later versions can add some. */
export const dialerFrame = v.variant("link", [
  v.object({
    link: v.literal("attach"),
    /** Absent from a plain client: it is sent no control frame but `error`. */
    version: v.optional(count),
    token: v.optional(text),
    /** What the connection is for. `control` carries no JSON-RPC: health, configure, lease, drain, exit and events. */
    mode: v.optional(v.picklist(["session", "control"]), "session"),
    /** The session to open; with `received` the one to resume. */
    session: v.optional(id),
    /**
     * Present on a resume only: JSON-RPC messages of that session received so far; the bridge replays what follows. A
     * session that the bridge does not have is refused as `not-found`, one with a hole in it as `conflict`.
     */
    received: v.optional(count),
    /** On the manager's port only: the server that is meant; `*` is all of them as one. */
    server: v.optional(text),
    /** The same: all servers of this group as one. */
    group: v.optional(text),
    /** The same: client and server may be of different eras of MCP. */
    translate: v.optional(v.boolean()),
  }),
  /**
   * Ends the session. With `drain` nothing more will be sent, and requests in flight still get their answers first. On a
   * control connection `session` names the session that is to end.
   */
  v.object({ link: v.literal("detach"), drain: v.optional(v.boolean()), session: v.optional(id) }),
  v.object({ link: v.literal("ack"), received: count }),
  /**
   * An owner is there. The bridge ends when it has heard of none for the time of the lease; any bytes of an attached
   * dialler count. On a control connection `ttlMs` sets that time; 0 lifts the lease.
   */
  v.object({ link: v.literal("lease"), ttlMs: v.optional(count) }),
  v.object({ link: v.literal("health") }),
  /** Secret environment for server processes started from now on. Values are never logged. */
  v.object({
    link: v.literal("configure"),
    env: v.record(v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/)), v.string()),
  }),
  /**
   * Lets live sessions finish, refuses new ones, then the bridge exits 0. With `whenIdle` only if there is no session at
   * that moment, else nothing changes; either way a `health` frame says which.
   */
  v.object({ link: v.literal("drain"), whenIdle: v.optional(v.boolean()) }),
  /** Ends every session and the bridge within `graceMs`. */
  v.object({ link: v.literal("exit"), graceMs: count }),
]);
export type DialerFrame = v.InferOutput<typeof dialerFrame>;
export type AttachFrame = Extract<DialerFrame, { link: "attach" }>;

export const exitReport = v.object({
  session: id,
  /** Exit status, null when a signal ended the process. */
  code: v.nullable(count),
  signal: v.nullable(text),
  /** The kernel killed it for memory, as far as the bridge could see. */
  oom: v.boolean(),
  /** The last stderr lines of the server. */
  stderr: v.array(v.string()),
  /** Why it ended, as a sentence for people. */
  reason: v.string(),
});
export type ExitReport = v.InferOutput<typeof exitReport>;

export const trouble = v.object({
  /**
   * `start-failed`: no server process can be started; `crash-loop`: they end as soon as they are started, and are left
   * alone for a while; `stopped`: the system does not run one (SIGSTOP); `silent`: one answers no `ping` or
   * `server/discover` although it has nothing to do; `nonsense`: what one says is no answer.
   */
  kind: v.string(),
  /** A sentence for people. */
  message: v.string(),
  /** Sessions with that trouble. */
  sessions: count,
});
export type Trouble = v.InferOutput<typeof trouble>;

export const healthReport = v.object({
  status: v.picklist(["ok", "draining", "unhealthy"]),
  version: v.string(),
  uptimeMs: count,
  /** Server processes alive now. */
  processes: count,
  sessions: count,
  connections: count,
  /** Requests that wait for an answer, over all sessions. */
  inFlight: count,
  /** Lines that were not passed on so far: noise of servers, answers that nobody awaited, lines over the limit. */
  dropped: v.optional(count, 0),
  /** Sessions whose server answers nothing now, but has reason to: requests wait for it, or it computes. */
  busy: v.optional(count, 0),
  /** Server processes that were started ahead and wait for a session; not among `processes`. */
  spares: v.optional(count, 0),
  /** Why the status is `unhealthy`. */
  trouble: v.optional(trouble),
  /** How the last server process that ended by itself ended. */
  lastExit: v.optional(exitReport),
});
export type HealthReport = v.InferOutput<typeof healthReport>;

/** Frames that the bridge sends. */
export const bridgeFrame = v.variant("link", [
  v.object({
    link: v.literal("attached"),
    version: count,
    /** Absent on a control connection. */
    session: v.optional(id),
    resumed: v.boolean(),
    /** JSON-RPC messages of this session that the bridge has received so far. */
    received: count,
    /** Changes whenever the bridge is started anew; a session never outlives it. */
    incarnation: v.string(),
    limits: v.object({
      messageBytes: count,
      queueBytes: count,
      /** How long the session is kept when its connection breaks; 0: it ends with it. */
      resumeMs: v.optional(count, 0),
      /** The bridge ends when it has heard of nobody for so long; 0: it does not. */
      leaseMs: v.optional(count, 0),
    }),
  }),
  v.object({ link: v.literal("ack"), received: count }),
  v.object({ link: v.literal("health"), ...healthReport.entries }),
  v.object({ link: v.literal("configured") }),
  /** A server process has ended. On a session connection it is the last frame; control connections see all of them. */
  v.object({ link: v.literal("exit"), ...exitReport.entries }),
  v.object({ link: v.literal("error"), kind: v.string(), message: v.string(), hint: v.optional(v.string()) }),
]);
export type BridgeFrame = v.InferOutput<typeof bridgeFrame>;

const prefixBytes = new TextEncoder().encode(CONTROL_PREFIX);

/** Whether the line at `start` (its end at `end`) is a control frame. No parsing: one prefix compare. */
export function isControl(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < prefixBytes.length) return false;
  for (let i = 0; i < prefixBytes.length; i++) if (bytes[start + i] !== prefixBytes[i]) return false;
  return true;
}

/** The frame as a line, newline included. `link` comes first, which is what makes the prefix compare work. */
export function formatFrame(frame: DialerFrame | BridgeFrame): string {
  const { link, ...rest } = frame;
  return `${JSON.stringify({ link, ...rest })}\n`;
}

/** The dialler's frame in a line, or why it is none, as a sentence. */
export function parseDialerFrame(line: string): DialerFrame | string {
  return parseWith(dialerFrame, line);
}

/** The bridge's frame in a line, or why it is none, as a sentence. */
export function parseBridgeFrame(line: string): BridgeFrame | string {
  return parseWith(bridgeFrame, line);
}

function parseWith<S extends typeof dialerFrame | typeof bridgeFrame>(
  schema: S,
  line: string,
): v.InferOutput<S> | string {
  let raw: unknown;
  try {
    raw = JSON.parse(line);
  } catch {
    return "the control frame is not JSON";
  }
  const result = v.safeParse(schema, raw);
  if (result.success) return result.output;
  const issue = result.issues[0];
  // Not the issue's own message: that repeats the value, which may be a secret.
  return `the control frame is invalid at ${v.getDotPath(issue) ?? "its top level"}: ${issue.expected ?? issue.type} is expected`;
}
