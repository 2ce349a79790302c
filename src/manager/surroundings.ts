/** What a server has around it: the same for all servers of a manager. */
import type { Log } from "../base/log.ts";
import type { EventLog } from "./events.ts";
import type { Ground } from "./launch.ts";
import type { Pins } from "./pins.ts";
import type { Room } from "./room.ts";

/** Where a spec came from: the configuration file, a start over REST, a reference that a client named, a label. */
export type Origin = "config" | "rest" | "ref" | "label";

export interface Surroundings {
  ground: Ground;
  events: Pick<EventLog, "add">;
  log: Log;
  pins: Pick<Pins, "get" | "set">;
  /** Where a start gets its part of the budget. */
  room: Pick<Room, "admit" | "reasonFor">;
  /** Sessions of clients with this server. */
  sessions(name: string): number;
}
