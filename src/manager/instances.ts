/**
 * The states of a server and what leads from one to the next. Pure: the driver (server.ts) tells what happened, this
 * table says what it means.
 */
import type { ServerState } from "../model/views.ts";
import type { Instance } from "../runtime/runtime.ts";

export interface Condition {
  state: ServerState;
  /** Why it is so, where there is something to say. */
  reason?: string;
  /** Probes in a row that were not answered. */
  misses: number;
}

export type Happening =
  /** A start was asked for. */
  | { kind: "start" }
  /** The engine has made the container; it is being started. */
  | { kind: "created" }
  /** The bridge answers. `serving`: a server process runs in it now. */
  | { kind: "answered"; serving: boolean }
  /** The bridge does not answer, or says that a server process does not. Once is no reason to worry. */
  | { kind: "missed"; reason: string }
  /** The bridge says what is wrong, and is sure of it. */
  | { kind: "troubled"; reason: string }
  /** An instance that was found running does not answer at all. */
  | { kind: "unanswered"; reason: string }
  /** The start failed for good. */
  | { kind: "failed"; reason: string }
  /** A server process inside has ended by itself; the bridge runs on. */
  | { kind: "process-ended"; reason: string }
  | { kind: "stop" }
  /** An instance of an earlier manager. */
  | { kind: "found"; state: Instance["state"]; exit?: Instance["exit"] }
  /** `reason`: nobody asked for it, and its next use starts it again. */
  | { kind: "stopped"; reason?: string }
  /** The engine's word. `anew`: another incarnation than the one that was known. */
  | { kind: "engine"; state: Instance["state"]; anew: boolean; exit?: Instance["exit"] };

export const DEFINED: Condition = { state: "defined", misses: 0 };

/** Why something that the engine has frozen does not answer. */
export const PAUSED = "it is paused";

/** The states in which there is something to stop. */
export const ALIVE: ReadonlySet<ServerState> = new Set(["creating", "starting", "ready", "unhealthy", "stopping"]);

/** An instance in these has nothing to stop. */
export const RESTING: ReadonlySet<Instance["state"]> = new Set(["ended", "lost"]);

/** No operation is under way in these, and what the engine says is news. */
const RESTED: ReadonlySet<ServerState> = new Set(["ready", "unhealthy", "stopped", "failed"]);

/** What follows; the same object when nothing changes. `retries`: this many misses in a row make it unhealthy. */
export function next(now: Condition, happening: Happening, retries: number): Condition {
  switch (happening.kind) {
    case "start":
      return { state: "creating", misses: 0 };
    case "created":
      return now.state === "creating" ? { state: "starting", misses: 0 } : now;
    case "answered":
      return answered(now, happening.serving);
    case "missed":
      return missed(now, happening.reason, retries);
    case "troubled":
      return now.state === "ready" || now.state === "unhealthy"
        ? { state: "unhealthy", reason: happening.reason, misses: 0 }
        : now;
    case "unanswered":
      return now.state === "starting" ? { state: "unhealthy", reason: happening.reason, misses: retries } : now;
    case "failed":
      return { state: "failed", reason: happening.reason, misses: 0 };
    case "process-ended":
      return now.state === "ready" ? { ...now, reason: happening.reason } : now;
    case "stop":
      return ALIVE.has(now.state) ? { state: "stopping", misses: 0 } : now;
    case "stopped":
      return now.state === "defined" ? now : stopped(happening.reason);
    case "found":
      return found(now, happening);
    case "engine":
      return engine(now, happening);
  }
}

function stopped(reason?: string): Condition {
  return { state: "stopped", ...(reason === undefined ? {} : { reason }), misses: 0 };
}

function answered(now: Condition, serving: boolean): Condition {
  if (now.state === "starting" || now.state === "unhealthy") return { state: "ready", misses: 0 };
  if (now.state !== "ready") return now;
  // That a server process ended is worth knowing until another one has come up; a probe that was missed is not.
  const reason = serving || now.misses > 0 ? undefined : now.reason;
  if (reason === now.reason && now.misses === 0) return now;
  return { state: "ready", ...(reason === undefined ? {} : { reason }), misses: 0 };
}

function missed(now: Condition, reason: string, retries: number): Condition {
  if (now.state === "unhealthy") return { ...now, reason, misses: now.misses + 1 };
  // While it starts nobody expects an answer: the start has a deadline of its own.
  if (now.state !== "ready") return now;
  const misses = now.misses + 1;
  return { state: misses >= retries ? "unhealthy" : "ready", reason, misses };
}

function engine(now: Condition, { state, anew, exit }: Extract<Happening, { kind: "engine" }>): Condition {
  switch (state) {
    case "pending":
      return now;
    case "starting":
    case "running":
    case "draining":
      if (now.state === "defined") return STARTING;
      // Started by somebody else, or replaced by the engine: what was known of the old one is void. Without a new
      // incarnation it is late word of the one that we have ended ourselves.
      return anew && RESTED.has(now.state) ? STARTING : now;
    case "paused":
      // Whoever resumes it lets the next probe answer, which makes it ready again.
      return now.state === "ready" || now.state === "unhealthy" ? { ...now, state: "unhealthy", reason: PAUSED } : now;
    case "ended":
      return ended(now, exit);
    case "lost":
      return lost(now);
  }
}

/**
 * Whether the engine's word about an instance concerns the one that is known under the name. While an operation runs
 * (`busy`) only that operation's own instance does.
 */
export function isNews(known: Instance | undefined, heard: Instance, busy: boolean): boolean {
  const runs = heard.state === "running";
  if (!known) return runs && !busy;
  // The one we know is what the name stands for, unless it is over and the other one runs.
  if (known.id !== heard.id) return runs && known.state !== "running" && !busy;
  // Word of an earlier incarnation that was under way while the next one started.
  return known.incarnation === heard.incarnation || heard.since >= known.since;
}

/** 128 + 15, as shells and engines say it. */
const SIGTERM_CODE = 143;
const STARTING: Condition = { state: "starting", misses: 0 };

function found(now: Condition, { state, exit }: Extract<Happening, { kind: "found" }>): Condition {
  if (state === "pending" || state === "lost") return now;
  if (state !== "ended") return STARTING;
  // Killed: by a stop of the earlier manager, most likely. A crash would say that it is one.
  if (exit?.reason === "killed") return { state: "stopped", reason: exit.message, misses: 0 };
  return ended(STARTING, exit);
}

function ended(now: Condition, exit: Instance["exit"]): Condition {
  // A start knows best why its container ended and says so itself; a stop expects it.
  if (now.state !== "ready" && now.state !== "unhealthy" && now.state !== "starting") return now;
  // A SIGTERM is how engines stop a container that somebody wants stopped.
  const asked = exit?.reason === "finished" || (exit?.reason === "killed" && exit.code === SIGTERM_CODE);
  if (asked) return { state: "stopped", reason: exit.message, misses: 0 };
  return { state: "failed", reason: exit?.message ?? "it ended without a word", misses: 0 };
}

function lost(now: Condition): Condition {
  if (now.state === "stopping") return { state: "stopped", misses: 0 };
  if (!ALIVE.has(now.state) || now.state === "creating") return now;
  return { state: "failed", reason: "it was removed by somebody else", misses: 0 };
}
