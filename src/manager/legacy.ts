/** The process for which a container was made, as its session label tells: `mcp-session-{PPID}-{PID}-{timestamp}[-{terminal}]`. */
import { LABEL } from "../runtime/labels.ts";
import { startedAtMs } from "../runtime/process/identity.ts";
import type { Labels } from "../runtime/runtime.ts";
import type { Evidence } from "./reaper.ts";

const SESSION = /^mcp-session-(\d+)-(\d+)-(\d{10,13})(-|$)/;
/** The start of a process is told by clocks that may have been set since. */
const SLACK_MS = 60_000;

/** Either of the two processes being there is enough to let it live. */
export function clientOf(
  labels: Labels,
  startOf: (pid: number) => number | undefined = startedAtMs,
): Evidence["client"] {
  const [, ppid, pid, stamp = ""] = SESSION.exec(labels[LABEL.session] ?? "") ?? [];
  if (ppid === undefined || pid === undefined) return "unnamed";
  const madeAt = Number(stamp) * (stamp.length < 12 ? 1_000 : 1);
  const lives = (id: string) => {
    // 1 adopts what has lost its parent, and is nobody's client.
    if (Number(id) < 2) return false;
    const started = startOf(Number(id));
    // A process that began later only has the number.
    return started !== undefined && started <= madeAt + SLACK_MS;
  };
  return lives(pid) || lives(ppid) ? "alive" : "gone";
}
