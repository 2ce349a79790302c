/** For how long nobody has used a server, as this manager has seen it itself, on the monotonic clock. */
import type { EventView } from "../model/views.ts";

/** What somebody's use, or a change of the server, is told by. */
const USE = /^(session\.|server\.(creating|ready|stopped|failed|removed)$)/;

export class IdleClock {
  private readonly usedAt = new Map<string, number>();

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Every event of the manager. */
  heard({ kind, server }: EventView): void {
    if (server !== undefined && USE.test(kind)) this.touch(server);
  }

  touch(server: string): void {
    this.usedAt.set(server, this.now());
  }

  /** Counts from the first question for a server of which nothing was heard. */
  idleMs(server: string): number {
    const now = this.now();
    const since = this.usedAt.get(server);
    if (since === undefined) this.usedAt.set(server, now);
    return since === undefined ? 0 : now - since;
  }
}
