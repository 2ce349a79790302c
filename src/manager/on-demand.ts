/**
 * When servers run without anybody asking: those that are to be there always start with the manager, those that nobody
 * has used for their `idleStop` are stopped. A server with a session is in use however quiet it is: the server's process
 * may keep what the client has told it. Its bridge is asked before it is stopped, and has the last word.
 */
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import type { EventLog } from "./events.ts";
import { IdleClock } from "./idle.ts";
import { ALWAYS } from "./launch.ts";
import type { Recovery } from "./recovery.ts";
import type { Registry } from "./registry.ts";
import type { Server } from "./server.ts";
import type { Sessions } from "./sessions.ts";

const LOOK_MS = 1_000;
const ENGINE_MS = 10_000;
const START_MS = 600_000;
const REST_MS = 30_000;
/** Between two attempts to start what cannot be started, at last. */
const AGAIN_MAX_MS = 60_000;

interface Around {
  registry: Registry;
  recovery: Recovery;
  books: Sessions;
  events: EventLog;
  log: Log;
}

export class OnDemand {
  private readonly idle = new IdleClock();
  /** How long those are left alone that could not be started. */
  private readonly waits = new Map<string, { ms: number; until: number }>();
  private readonly timer: ReturnType<typeof setInterval>;

  /** Begins at once and ends when the signal aborts. */
  constructor(
    private readonly around: Around,
    private readonly signal: AbortSignal,
  ) {
    around.events.listen((event) => this.idle.heard(event));
    this.timer = setInterval(() => this.look(), LOOK_MS);
    this.timer.unref();
    signal.addEventListener("abort", () => clearInterval(this.timer), { once: true });
    void this.begin();
  }

  /** Starts what is to be there always, once it is known what runs already. */
  private async begin(): Promise<void> {
    const { registry, recovery } = this.around;
    while (!this.signal.aborted) {
      const found = await recovery.done(Deadline.in(ENGINE_MS, this.signal)).then(
        () => true,
        () => false,
      );
      if (found) break;
      await sleep(LOOK_MS, this.signal).catch(() => {});
    }
    if (this.signal.aborted) return;
    await Promise.all(registry.all().map((server) => this.keep(server)));
  }

  private async keep(server: Server): Promise<void> {
    const { spec, name } = server;
    if (spec?.start !== "always") return;
    server.pinned = true;
    try {
      await server.start(spec, { client: ALWAYS }, () => {}, Deadline.in(START_MS, this.signal));
      this.waits.delete(name);
    } catch (error) {
      if (this.signal.aborted) return;
      const ms = Math.min(AGAIN_MAX_MS, 2 * (this.waits.get(name)?.ms ?? LOOK_MS));
      this.waits.set(name, { ms, until: performance.now() + ms });
      this.around.log.warn("a server could not be started", { server: name, reason: Fault.from(error).message });
    }
  }

  private look(): void {
    for (const server of this.around.registry.all()) {
      if (this.isIdle(server)) void this.stop(server);
      else if (this.isDue(server)) void this.keep(server);
    }
  }

  /** One whose start found no room, or no engine, has not failed: nothing of it was ever there. */
  private isDue(server: Server): boolean {
    const wait = this.waits.get(server.name);
    const down = server.state === "failed" || (wait !== undefined && !server.alive);
    return down && isDown(server) && performance.now() >= (wait?.until ?? 0);
  }

  private isIdle({ name, spec, state, busy }: Server): boolean {
    if (state !== "ready" || busy || !spec || spec.idleStop === "none" || spec.start === "always") return false;
    if (this.around.books.wanted(name) > 0) this.idle.touch(name);
    return this.idle.idleMs(name) >= spec.idleStop;
  }

  private async stop(server: Server): Promise<void> {
    const { name } = server;
    try {
      const why = `nobody used it for ${Math.round(this.idle.idleMs(name) / 1000)} s`;
      // In use after all: by sessions that an earlier manager gave.
      if (!(await server.rest(why, Deadline.in(REST_MS, this.signal)))) this.idle.touch(name);
    } catch (error) {
      this.idle.touch(name);
      if (this.signal.aborted) return;
      this.around.log.warn("an idle server could not be stopped", { server: name, reason: Fault.from(error).message });
    }
  }
}

/** It is to be there always, and is not left alone for a while. One that somebody has stopped stays so. */
function isDown({ spec, busy, pinned, status }: Server): boolean {
  return spec?.start === "always" && pinned && !busy && status.breaker.restMs() === 0;
}
