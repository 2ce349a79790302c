/**
 * Whether a session ended because somebody stopped its server on purpose. A front then leaves it alone: `linkspan stop`
 * would mean nothing if every client that is still there started the server again at once.
 */
import { type Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ServerView, SessionGrant, SessionView } from "../model/views.ts";

/** What is asked of a manager here. */
interface Informant {
  server(name: string, options: { deadline: Deadline }): Promise<ServerView>;
  sessions(options: { deadline: Deadline }): Promise<SessionView[]>;
}

const ANSWER_MS = 5_000;
/** A stop that is under way; longer ones are treated as what they look like. */
const STOPPING_MS = 20_000;
/** A restart is a stop and a start: the start follows within this time. */
const SETTLE_MS = 250;
const POLL_MS = 100;

/** Faults: `conflict` with `data.stopped` when the server was stopped or removed; those of the manager. */
export async function refuseStopped(from: Informant, earlier: SessionGrant, deadline: Deadline): Promise<void> {
  const name = earlier.server;
  const until = deadline.within(STOPPING_MS);
  for (let seen = 0; ;) {
    const view = await viewOf(from, name, deadline);
    if (view === undefined) {
      // A manager that does not know our session either is another one, which has lost sight of the server.
      const sessions = await from.sessions({ deadline: deadline.within(ANSWER_MS) });
      if (sessions.some(({ session }) => session === earlier.session)) throw stopped(`${name} was removed`, name);
      return;
    }
    // With a reason it was not the manager who ended it.
    const atRest = view.state === "stopped" && view.reason === undefined;
    if (!atRest && view.state !== "stopping") return;
    if (atRest && (seen += 1) > 1) throw stopped(`${name} was stopped`, name);
    if (until.passed) return;
    await sleep(atRest ? SETTLE_MS : POLL_MS, deadline.signal);
  }
}

export function isStopped(fault: Fault): boolean {
  return fault.data?.stopped === true;
}

async function viewOf(from: Informant, name: string, deadline: Deadline): Promise<ServerView | undefined> {
  try {
    return await from.server(name, { deadline: deadline.within(ANSWER_MS) });
  } catch (error) {
    if (Fault.from(error).kind === "not-found") return undefined;
    throw error;
  }
}

function stopped(message: string, name: string): Fault {
  return new Fault("conflict", message, {
    hint: `Start it again with \`linkspan start ${name}\`; this session then goes on.`,
    data: { stopped: true },
  });
}
