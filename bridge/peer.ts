/** The client of a session, apart from what kind of connection it comes by. */
import type { ExitReport } from "./wire.ts";

/** The client's end, as the session sees it. */
export interface Peer {
  /** Bytes that wait for the client to read. */
  readonly queuedBytes: number;
  write(bytes: Uint8Array): void;
  /** Stops reading from the client until `release`. Both idempotent. */
  hold(): void;
  release(): void;
  /** The server has ended; the last words are written. The report follows, then the connection ends. */
  finish(report: ExitReport): void;
  /** Another connection has taken the session over. */
  replaced(): void;
  /** Takes nothing any more: the connection is cut. */
  cut(why: string): void;
}
