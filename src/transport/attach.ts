/**
 * How a session gets onto its bridge: the first time, and again after each break. A connection may break before `attach`
 * is answered, too; then nobody knows whether the bridge has heard it.
 */
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault, type FaultKind } from "../base/fault.ts";
import { type Connection, type Dial, Unanswered } from "./dial.ts";
import { bridgeGone } from "./lookout.ts";
import { redial } from "./redial.ts";
import type { SessionOptions } from "./session-events.ts";

/** A network that breaks every connection is reported, not outlasted: nobody relies on the session yet. */
const ATTEMPTS = 6;
const WAIT_FIRST_MS = 10;

/** What a session knows of itself when its connection breaks. */
export interface Held {
  session: string;
  /** JSON-RPC messages received so far. */
  received: number;
  incarnation: string;
}

/** Opens a session. Faults: those of `dial`; a connection that breaks before the answer is replaced a few times. */
export async function attachNew(options: SessionOptions, deadline: Deadline, dial: Dial): Promise<Connection> {
  // Chosen here, so that a bridge that has heard of the session already can be told which one is meant.
  const session = options.session ?? `session-${crypto.randomUUID()}`;
  let received: number | undefined;
  let attempts = 0;
  for (;;) {
    try {
      return await dial({ ...options, mode: "session", session, received }, deadline);
    } catch (error) {
      const { kind } = Fault.from(error);
      const unheard = received !== undefined && kind === "not-found";
      const unanswered = error instanceof Unanswered;
      // An earlier connection, whose end the bridge has yet to notice, may hold a session that is not started yet.
      const held = attempts > 0 && kind === "conflict";
      if (!(unheard || unanswered || held) || ++attempts === ATTEMPTS) throw error;
      received = unheard ? undefined : 0;
      if (!unheard) await sleep(WAIT_FIRST_MS * 2 ** attempts, deadline.signal);
    }
  }
}

/**
 * The connection that goes on with a session, or undefined if its bridge is known to be gone. Faults: what no further
 * attempt would heal.
 */
export async function attachAgain(
  options: SessionOptions,
  held: Held,
  deadline: Deadline,
  dial: Dial,
): Promise<Connection | undefined> {
  const { session, received, incarnation } = held;
  const { whereabouts } = options;
  const over = new AbortController();
  const untilOver = deadline.endedBy(over.signal);
  let underway: { address: string; moved: AbortController } | undefined;
  const attempt = async (within: Deadline) => {
    const where = whereabouts ? await whereabouts(within) : options;
    if (!where) return undefined;
    const { addresses, token } = where;
    const moved = new AbortController();
    underway = { address: JSON.stringify(addresses), moved };
    try {
      return await dial({ addresses, token, mode: "session", session, received }, within.endedBy(moved.signal));
    } catch (error) {
      if (moved.signal.aborted) throw new Fault("unreachable", "the bridge has another address by now");
      throw error;
    }
  };
  const dialling = redial(attempt, untilOver);
  const looking = whereabouts
    ? bridgeGone(
        whereabouts,
        ({ addresses }) => underway?.address !== JSON.stringify(addresses) && underway?.moved.abort(),
        untilOver,
      )
    : undefined;
  let connection: Connection | undefined;
  try {
    // A look that fails says nothing; the dialling does.
    connection = await Promise.race([dialling, looking?.catch(() => dialling) ?? dialling]);
  } catch (error) {
    const fault = Fault.from(error);
    throw STRANGER.has(fault.kind) ? elsewhere(fault) : fault;
  } finally {
    over.abort();
  }
  // A connection that is made after all must not stay.
  if (!connection) dialling.then((late) => late?.destroy()).catch(() => {});
  if (!connection || connection.attached.incarnation === incarnation) return connection;
  connection.destroy();
  throw elsewhere(undefined);
}

/** The token was right before. Who refuses it now is another bridge, on an address that was used again. */
const STRANGER: ReadonlySet<FaultKind> = new Set(["unauthenticated"]);

function elsewhere(cause: Fault | undefined): Fault {
  return new Fault("unreachable", "the bridge is gone, and another one answers at its address", { cause });
}
