/**
 * Looks where a bridge is while it is dialled. A container that is gone swallows every packet, so a dial to its address
 * takes all the time that it is given; that it is gone is known by then, and whoever has a call under way need not wait.
 */
import { type Deadline, sleep } from "../base/deadline.ts";
import type { SessionOptions } from "./session-events.ts";

/** Looks at first, while an end is most likely; then so many times more seldom. */
const LOOK_MS = 200;
const OFTEN = 10;
const SELDOM_MS = 1_000;

/** Resolves when the bridge is known to be gone. `seen` is told each other answer. Does nothing more after the deadline. */
export async function bridgeGone(
  whereabouts: NonNullable<SessionOptions["whereabouts"]>,
  seen: (where: NonNullable<Awaited<ReturnType<typeof whereabouts>>>) => void,
  deadline: Deadline,
): Promise<undefined> {
  const { signal } = deadline;
  for (let looks = 1; ; looks += 1) {
    await sleep(looks > OFTEN ? SELDOM_MS : LOOK_MS, signal);
    const where = await whereabouts(deadline);
    if (!where) return undefined;
    if (!signal.aborted) seen(where);
  }
}
