/** What a server has around it: the same for all servers of a manager. */
import type { Log } from "../base/log.ts";
import type { EventLog } from "./events.ts";
import type { Ground } from "./launch.ts";

/** Where a spec came from: the configuration file, a start over REST, a reference that a client named, a label. */
export type Origin = "config" | "rest" | "ref" | "label";

export interface Surroundings {
  ground: Ground;
  events: EventLog;
  log: Log;
  /** Sessions of clients with this server. */
  sessions(name: string): number;
}
