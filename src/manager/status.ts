/** The state of one server as it moves through the table of instances.ts; every change is an event and a line of the log. */
import type { Log } from "../base/log.ts";
import type { ServerState } from "../model/views.ts";
import type { EventLog } from "./events.ts";
import { ALIVE, type Condition, DEFINED, type Happening, next } from "./instances.ts";

export class Status {
  condition: Condition = DEFINED;

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
}
