/** A session with a server by its name: the manager starts the server if needed, its bridge is dialled from here. */
import { type Deadline, sleep } from "../base/deadline.ts";
import { Fault, type FaultKind } from "../base/fault.ts";
import type { ProgressView, ServerState, ServerView, SessionGrant } from "../model/views.ts";
import { dialSession, type Session } from "../transport/session.ts";
import type { Whereabouts } from "../transport/session-events.ts";

/** A bridge that runs accepts at once. */
const DIAL_MS = 5_000;
/** A bridge that has just died is asked for until the manager has noticed it, too. */
const REDIAL_MS = 10_000;
const REDIAL_WAIT_MS = 200;
/** Nobody is at its address any more, or by now another bridge, which does not know the token. */
const ELSEWHERE: ReadonlySet<FaultKind> = new Set(["unreachable", "unauthenticated"]);
/** A server in another state has no bridge that a session could be resumed on. */
const ALIVE: ReadonlySet<ServerState> = new Set(["starting", "ready", "unhealthy"]);

export type Report = (progress: ProgressView) => void;

/** Where sessions come from: the manager. */
export interface Doors {
  acquire(server: string, report: Report, deadline: Deadline): Promise<SessionGrant>;
  release(session: string): void;
  /** As the session sees it. Faults: `not-found`. */
  view(server: string, session: string): ServerView;
}

export interface Opened {
  session: Session;
  /** Gives the session back; it has to be closed by itself. Idempotent. */
  release(): void;
}

/** Faults: those of the start, `unreachable`, `timeout`. */
export async function openSession(doors: Doors, server: string, report: Report, deadline: Deadline): Promise<Opened> {
  const until = performance.now() + REDIAL_MS;
  for (;;) {
    const grant = await doors.acquire(server, report, deadline);
    const { addresses, token, session } = grant;
    const whereabouts = async () => whereaboutsOf(doors, grant);
    try {
      const opened = await dialSession({ addresses, token, session, whereabouts }, deadline.within(DIAL_MS));
      return { session: opened, release: () => doors.release(session) };
    } catch (error) {
      doors.release(session);
      if (!ELSEWHERE.has(Fault.from(error).kind) || performance.now() > until) throw error;
      await sleep(REDIAL_WAIT_MS, deadline.signal);
    }
  }
}

/** Undefined if the server has ended, and the session's bridge with it. */
function whereaboutsOf(doors: Doors, { server, session, token }: SessionGrant): Whereabouts | undefined {
  try {
    const { state, addresses } = doors.view(server, session);
    return ALIVE.has(state) && addresses.length > 0 ? { addresses, token } : undefined;
  } catch {
    return undefined;
  }
}
