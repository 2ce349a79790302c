/** RFC 5424, least severe first. */
const LEVELS: readonly unknown[] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/** Whether a message of this level is at least as severe as the least severe one that is wanted. */
export function isWanted(level: unknown, least: string): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(least);
}
