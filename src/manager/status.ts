/** The state of one server as it moves through the table of instances.ts; every change is an event and a line of the log. */
import { Breaker, USEFUL_MS } from "../../bridge/breaker.ts";
import type { Log } from "../base/log.ts";
import type { ServerState } from "../model/views.ts";
import type { EventLog } from "./events.ts";
import { ALIVE, type Condition, DEFINED, type Happening, next } from "./instances.ts";

export class Status {
  condition: Condition = DEFINED;
  /** Opens when its containers end as soon as they are started. */
  readonly breaker = new Breaker();
  private readyAt = 0;

  constructor(
    private readonly name: string,
    private readonly around: { events: Pick<EventLog, "add">; log: Log },
    private readonly retries: () => number,
  ) {}

  get state(): ServerState {
    return this.condition.state;
  }

  /** Whether there is something to stop. */
  get alive(): boolean {
    return ALIVE.has(this.condition.state);
  }

  apply(happening: Happening): void {
    const before = this.condition;
    this.condition = next(before, happening, this.retries());
    const { state, reason } = this.condition;
    if (state !== before.state) this.mark(state, happening);
    if (state === before.state) {
      // Not well, and it was not known before in what way.
      const news = happening.kind === "missed" || happening.kind === "troubled";
      if (!news || reason === undefined || reason === before.reason) return;
      this.around.events.add("server.trouble", `${this.name}: ${reason}`, { server: this.name });
      return;
    }
    const message = `${this.name} is ${state}${reason === undefined ? "" : `: ${reason}`}`;
    this.around.events.add(`server.${state}`, message, { server: this.name });
    const level = state === "failed" || state === "unhealthy" ? "warn" : "info";
    this.around.log[level](message, { server: this.name });
  }

  /** One that somebody has killed is no crash. */
  private mark(state: ServerState, happening: Happening): void {
    if (state === "ready") this.readyAt = performance.now();
    if (happening.kind !== "engine" || state !== "failed") return;
    const { exit } = happening;
    if (performance.now() - this.readyAt >= USEFUL_MS) this.breaker.worked();
    else if (exit?.reason === "crash" || exit?.reason === "oom") this.breaker.failed(exit.message);
  }
}
