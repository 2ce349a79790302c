/** All sessions of a bridge at a glance, for its health report. */
import type { Finding } from "./checkup.ts";
import type { Session } from "./session.ts";
import type { HealthReport, Trouble } from "./wire.ts";

type Survey = Pick<HealthReport, "processes" | "inFlight" | "dropped" | "busy"> & {
  findings: Finding[];
  /** Some server has answered something. */
  proved: boolean;
};

/**
 * Also puts a question to each server; the next survey knows whether it was answered. `common` is what belongs to no one
 * session.
 */
export function survey(sessions: Iterable<Session>, common: { pids: readonly number[]; dropped: number }): Survey {
  const { dropped } = common;
  const seen: Survey = { processes: 0, inFlight: 0, dropped, busy: 0, findings: [], proved: false };
  const pids = new Set(common.pids);
  for (const session of sessions) {
    const finding = session.checkup.look();
    if (finding) seen.findings.push(finding);
    if (session.checkup.busy) seen.busy++;
    if (session.checkup.proved) seen.proved = true;
    if (session.pid !== undefined) pids.add(session.pid);
    seen.inFlight += session.inFlight;
    seen.dropped += session.drops.total;
  }
  seen.processes = pids.size;
  return seen;
}

const RANK: readonly Finding["kind"][] = ["stopped", "nonsense", "silent"];

/** What is to be said of all together: what is worst, and of how many. */
export function troubleOf(
  loop: string | undefined,
  startFailure: string | undefined,
  findings: readonly Finding[],
): Trouble | undefined {
  if (loop !== undefined) return { kind: "crash-loop", message: loop, sessions: 0 };
  if (startFailure !== undefined) return { kind: "start-failed", message: startFailure, sessions: 0 };
  const [worst] = findings.toSorted((a, b) => RANK.indexOf(a.kind) - RANK.indexOf(b.kind));
  if (!worst) return undefined;
  const alike = findings.filter(({ kind }) => kind === worst.kind);
  // Sessions that share a process say the same.
  const others = new Set(alike.map(({ message }) => message)).size - 1;
  const message = others === 0 ? worst.message : `${worst.message}, and ${others} more like it`;
  return { kind: worst.kind, message, sessions: alike.length };
}
