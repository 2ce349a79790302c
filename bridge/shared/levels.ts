/** One log level for the server, the most verbose that a client has asked for; each client gets what it has asked for. Pure. */
import type { Guest } from "./guest.ts";

const LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"] as const;
export type Level = (typeof LEVELS)[number];

export function levelOf(text: string | undefined): Level | undefined {
  return LEVELS.find((level) => level === text);
}

/** Whether a client is to have a message of that level. One that has asked for no level gets none. */
export function isWanted(guest: Guest, level: Level | undefined): boolean {
  if (guest.level === undefined) return false;
  // A level that nobody knows is not hidden from those who have asked for messages.
  return level === undefined || LEVELS.indexOf(level) >= LEVELS.indexOf(guest.level);
}

export class Levels {
  /** What the server was told last. */
  told: Level | undefined;

  /** The level that the server has to have; undefined while nobody has asked for one. */
  wanted(guests: Iterable<Guest>): Level | undefined {
    const asked = new Set([...guests].map((guest) => guest.level));
    return LEVELS.find((level) => asked.has(level));
  }
}
