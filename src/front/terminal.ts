/** The terminal as the last part of a session id: where a person would look for it. */

/** Variables by which terminals name their windows and panes. */
const VARIABLES = ["TERM_SESSION_ID", "TMUX_PANE", "WT_SESSION", "SSH_TTY", "WINDOWID"];
/** With the rest of a session id it stays within the wire's 200 characters. */
const CHARACTERS_MAX = 64;

/** The terminal's name in characters that an id may have; undefined outside terminals. */
export function terminalName(env: Record<string, string | undefined>): string | undefined {
  for (const variable of VARIABLES) {
    const name = env[variable]?.replace(/[^A-Za-z0-9._]+/g, "").slice(0, CHARACTERS_MAX);
    if (name) return name;
  }
  return undefined;
}
