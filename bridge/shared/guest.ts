/** One client of a shared server, as the router knows it. Pure. */
import type { IdKey } from "../envelope.ts";
import { Gather } from "./gather.ts";
import type { Level } from "./levels.ts";

export class Guest {
  /** It has left; what it had asked may still go on at the server. */
  gone = false;
  /** The log level that it has asked for. */
  level: Level | undefined;
  /** What it has declared in its `initialize`; undefined while it has said none. */
  capabilities: ReadonlySet<string> | undefined;
  /** Its requests in flight: its own id → the bridge's number. Of two with one id, the later. */
  readonly requests = new Map<IdKey, number>();
  /** What it is to be sent. */
  readonly out = new Gather();
}
