/** What the owner of a session gives to it and hears from it. */
import type { ExitReport } from "../../bridge/wire.ts";
import type { Deadline } from "../base/deadline.ts";
import type { Fault } from "../base/fault.ts";
import type { DialOptions } from "./dial.ts";

export type Whereabouts = Pick<DialOptions, "addresses" | "token">;

export interface SessionOptions extends Omit<DialOptions, "mode" | "received"> {
  /** `mcp-session-{PPID}-{PID}-{timestamp}[-{terminal}]`; made up when absent. */
  session?: string | undefined;
  /** How long to try to reach the bridge again after a break; as long as the bridge keeps the session when absent. */
  resumeMs?: number | undefined;
  /**
   * Where the bridge is by now, asked before every attempt; `addresses` and `token` as given when absent. Undefined: it
   * is not there any more, and the session has ended with it.
   */
  whereabouts?(deadline: Deadline): Promise<Whereabouts | undefined>;
}

/**
 * How a session ended. `exit`: the server process ended, and the bridge has answered every request in flight itself,
 * except for those among the `undelivered` bytes, which no server was given; half a line may be at their end.
 * `lost`: the connection broke for good or the bridge gave up on it; requests in flight have no answer. `detached`: we
 * ended it.
 */
export type SessionEnd =
  { why: "detached" } | { why: "exit"; report: ExitReport; undelivered: Uint8Array[] } | { why: "lost"; fault: Fault };

/** One of `bytes` and `line`; both see payload only, never control frames. */
export type SessionEvents = {
  /** The writer may go on, after a `write` or `send` that returned false. */
  drained?(): void;
  /** The connection broke and is being restored; what is written meanwhile is kept. */
  interrupted?(fault: Fault): void;
  /** It goes on where it was. */
  resumed?(): void;
  /** The last event, exactly once. */
  ended(end: SessionEnd): void;
} & ({ bytes(range: Uint8Array): void } | { line(message: string): void });
