/** Reaching a bridge again after a connection has broken: at once, then ever more slowly, until the time is up. */
import { type Deadline, sleep } from "../base/deadline.ts";
import { Fault, type FaultKind } from "../base/fault.ts";

const WAIT_FIRST_MS = 10;
const WAIT_MAX_MS = 1_000;
/** One attempt, twice as long each time: a packet to a machine that is gone gets no answer at all. */
const ATTEMPT_FIRST_MS = 500;
const ATTEMPT_MAX_MS = 5_000;

/** What may be over at the next attempt. */
const PASSING: ReadonlySet<FaultKind> = new Set(["unreachable", "timeout", "exhausted"]);

/** The first attempt that succeeds. Faults: one that no further attempt would heal, `cancelled`, `unreachable`. */
export async function redial<T>(attempt: (deadline: Deadline) => Promise<T>, deadline: Deadline): Promise<T> {
  let waitMs = WAIT_FIRST_MS;
  let attemptMs = ATTEMPT_FIRST_MS;
  for (;;) {
    try {
      return await attempt(deadline.within(attemptMs));
    } catch (error) {
      const fault = Fault.from(error);
      if (!PASSING.has(fault.kind)) throw fault;
      if (deadline.passed || deadline.remainingMs < waitMs) throw givenUp(fault, deadline);
    }
    // Not all the sessions of one bridge at the same moment.
    await sleep(waitMs * (0.5 + Math.random() / 2), deadline.signal);
    attemptMs = Math.min(ATTEMPT_MAX_MS, attemptMs * 2);
    waitMs = Math.min(WAIT_MAX_MS, waitMs * 2);
  }
}

function givenUp(last: Fault, deadline: Deadline): Fault {
  const within = `within ${Math.round(deadline.totalMs)} ms`;
  return new Fault("unreachable", `the connection broke and could not be restored ${within}: ${last.message}`, {
    cause: last,
  });
}
