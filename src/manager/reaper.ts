/**
 * What is to be removed, and why. Pure: the driver (cleanup.ts) collects the evidence, this says what it means. Where the
 * evidence is incomplete the answer is always to keep: a leftover costs some disk, a live session cannot be given back.
 */

/**
 * `self`: this manager. `alive`: another one that runs. `dead`: another one, proven to be gone. `unknown`: nothing here
 * can tell, such as an owner on another machine. `none`: not made by this kind of manager.
 */
export type Standing = "self" | "alive" | "dead" | "unknown" | "none";

export interface Evidence {
  /** `helper`: created for a copy and never started. `stranger`: a container of an image that somebody named. */
  kind: "server" | "helper" | "network" | "stranger";
  owner: Standing;
  /** For how long the owner has been seen as dead; 0 unless it is. */
  ownerDeadMs: number;
  /** Whether it runs, or may go on to run by itself (starting, paused, being removed). */
  runs: boolean;
  /** Of ours: a server that the manager knows stands for it. Of a network: something is attached to it. */
  needed: boolean;
  /** An operation or a client that is about to get its session has it in hand. */
  busy: boolean;
  /** Somebody asked for the server by name: it stays without sessions, too. Or it was started to outlive everything. */
  pinned: boolean;
  /** Sessions that it serves; undefined when it could not be asked. */
  sessions: number | undefined;
  /** The process for which it was made, as its session label names it. */
  client: "alive" | "gone" | "unnamed";
  /** Time without any use that this manager has seen itself, on a clock that no one can set. */
  idleMs: number;
}

export interface Policy {
  /** Idle for this long is aged; 0 is never. */
  maxAgeMs: number;
  /** Nobody asked for this pass: an owner that is just being restarted gets this long to come back. */
  patienceMs: number;
  /** Somebody said to remove also what cannot be asked, and containers of the image that he named. */
  force: boolean;
}

export type Reason = "orphaned" | "aged" | "legacy";

/** `reason` absent: it stays. `why` is for people. */
export interface Verdict {
  reason?: Reason;
  why: string;
}

export function judge(seen: Evidence, policy: Policy): Verdict {
  if (seen.busy) return keep("something is being done with it");
  if ((seen.sessions ?? 0) > 0) return keep("it has sessions");
  if (seen.kind === "stranger") return judgeStranger(seen, policy);
  switch (seen.owner) {
    case "self":
      return judgeOwn(seen, policy);
    case "dead":
      return judgeOrphan(seen, policy);
    case "alive":
      return keep("its manager runs");
    default:
      return keep("nothing here can tell whether its manager runs");
  }
}

function judgeOwn(seen: Evidence, { maxAgeMs }: Policy): Verdict {
  if (seen.kind !== "server") return keep("it is in use by this manager");
  const aged = maxAgeMs > 0 && seen.idleMs >= maxAgeMs;
  if (!seen.needed) {
    if (!seen.runs) return remove("orphaned", "it has ended, and no server of this manager stands for it");
    if (seen.sessions === 0) return remove("orphaned", "it is unused, and no server of this manager stands for it");
    return keep("it runs and does not say whether it is in use");
  }
  if (!aged) return keep("it was used not long ago");
  if (!seen.runs) return remove("aged", `it has ended, and nobody has wanted it for ${minutes(seen.idleMs)}`);
  if (seen.pinned) return keep("it was started by name, and stays until it is stopped");
  if (seen.sessions === undefined) return keep("it does not say whether it is in use");
  return remove("aged", `nobody has used it for ${minutes(seen.idleMs)}`);
}

function judgeOrphan(seen: Evidence, { patienceMs, force }: Policy): Verdict {
  if (seen.ownerDeadMs < patienceMs) return keep("its manager is gone, but may be on its way back");
  if (seen.kind === "network") {
    return seen.needed ? keep("something is attached to it") : remove("orphaned", "its manager is gone");
  }
  if (!seen.runs) return remove("orphaned", "it has ended, and its manager is gone");
  if (force) return remove("orphaned", "its manager is gone, and no session is known");
  if (seen.pinned) return keep("its manager is gone, but it was started without a lease, to outlive it");
  if (seen.sessions === undefined) return keep("its manager is gone, but it does not say whether it is in use");
  return remove("orphaned", "its manager is gone, and nobody uses it");
}

/** A container of an image that somebody has named. Who may still be using it is known only where its label says so. */
function judgeStranger(seen: Evidence, { maxAgeMs, force }: Policy): Verdict {
  if (!force) return keep("it is not ours");
  if (seen.client === "alive") return keep("the process for which it was made runs");
  if (!seen.runs) return remove("legacy", "it has ended");
  if (seen.client === "gone") return remove("legacy", "the process for which it was made is gone");
  if (seen.idleMs < maxAgeMs) return keep(`it runs since less than ${minutes(maxAgeMs)}`);
  return remove("legacy", `it runs since ${minutes(seen.idleMs)}, and nothing says that it is in use`);
}

function keep(why: string): Verdict {
  return { why };
}

function remove(reason: Reason, why: string): Verdict {
  return { reason, why };
}

function minutes(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.floor(ms / 60_000)} min`;
}
