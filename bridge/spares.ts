/**
 * Server processes that are started ahead and wait for a session, so that its first answer does not wait for a start. A
 * spare that is taken is followed by the next one; one that ends unused is followed too, but more and more slowly.
 */
import { USEFUL_MS } from "./breaker.ts";
import { type ChildEvents, type Launch, type ServerProcess, StartFailure } from "./child.ts";
import { readProcessState } from "./process-state.ts";
import type { ServerCommand } from "./stdio.ts";
import type { ExitReport } from "./wire.ts";

/** From a spare that was taken to the start of the next: the session that took it begins with work of its own. */
const REFILL_MS = 50;
/** The same after one that ended by itself or could not be started; twice as long each time it happens again. */
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** What a server says before anybody asks is kept for its session up to here; then it is held back. */
const HELD_BYTES = 64 * 1024;

export interface SparesHost {
  say(text: string): void;
  log(range: Uint8Array): Promise<void> | undefined;
  /** No more server processes may be started now. */
  full(): boolean;
  /** A spare has ended. `asked`: because we wanted it to. */
  spareEnded(report: ExitReport, asked: boolean): void;
}

export class Spares {
  /** Started and unused, the oldest first. */
  private readonly waiting = new Set<Spare>();
  private readonly leaving = new Set<Spare>();
  private command: ServerCommand | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private retryMs = RETRY_MS;
  private retrying = false;
  private made = 0;

  constructor(
    private readonly wanted: number,
    private readonly stopMs: number,
    private readonly launch: Launch,
    private readonly host: SparesHost,
  ) {}

  get size(): number {
    return this.waiting.size;
  }

  /** Spares that have been told to end, too. */
  get alive(): number {
    return this.waiting.size + this.leaving.size;
  }

  /** From now on spares are processes of this command; others are ended. */
  prepare(command: ServerCommand): void {
    if (this.command && isSame(this.command, command)) return;
    this.command = command;
    for (const spare of this.waiting) this.dismiss(spare, this.stopMs);
    if (this.wanted > 0) this.fillIn(0);
  }

  /** A spare of the command, which tells `events` from now on; undefined where there is none. */
  take(command: ServerCommand, events: ChildEvents): ServerProcess | undefined {
    if (!this.command || !isSame(this.command, command)) return undefined;
    for (const spare of this.waiting) {
      if (readProcessState(spare.process.pid)?.stopped) {
        // Nothing but this reaches it.
        this.dismiss(spare, 0);
        continue;
      }
      this.waiting.delete(spare);
      spare.adopt(events);
      this.fillIn(REFILL_MS);
      return spare.process;
    }
    return undefined;
  }

  /** Ends all within `budgetMs`; none is started any more. */
  stop(budgetMs: number): void {
    this.command = undefined;
    clearTimeout(this.timer);
    for (const spare of [...this.waiting, ...this.leaving]) this.dismiss(spare, budgetMs);
  }

  private fillIn(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fill(), ms);
  }

  private fill(): void {
    const { command } = this;
    this.retrying = false;
    while (command && this.waiting.size < this.wanted && !this.host.full()) {
      const name = `spare-${++this.made}`;
      try {
        this.waiting.add(new Spare(name, (events) => this.launch(command, this.stopMs, events), this.host, this.ended));
      } catch (error) {
        if (!(error instanceof StartFailure)) throw error;
        this.host.say(`${name}: ${error.message}`);
        return this.retry();
      }
    }
  }

  private readonly ended = (spare: Spare, report: ExitReport): void => {
    const asked = this.leaving.delete(spare);
    if (this.waiting.delete(spare)) {
      this.host.say(`${spare.name}: ${report.reason}`);
      if (performance.now() - spare.startedAt >= USEFUL_MS) this.retryMs = RETRY_MS;
      if (this.command) this.retry();
    }
    this.host.spareEnded(report, asked);
  };

  /** Several may end in one wait. */
  private retry(): void {
    if (this.retrying) return;
    this.retrying = true;
    this.fillIn(this.retryMs);
    this.retryMs = Math.min(RETRY_MAX_MS, this.retryMs * 2);
  }

  private dismiss(spare: Spare, budgetMs: number): void {
    this.waiting.delete(spare);
    this.leaving.add(spare);
    spare.process.stop(budgetMs);
  }
}

class Spare implements ChildEvents {
  readonly process: ServerProcess;
  readonly startedAt = performance.now();
  private heir: ChildEvents | undefined;
  private held: Uint8Array[] = [];
  private heldBytes = 0;

  /** Throws StartFailure. */
  constructor(
    readonly name: string,
    launch: (events: ChildEvents) => ServerProcess,
    private readonly host: SparesHost,
    private readonly over: (spare: Spare, report: ExitReport) => void,
  ) {
    this.process = launch(this);
    host.say(`${name}: server process ${this.process.pid} started`);
  }

  adopt(heir: ChildEvents): void {
    this.heir = heir;
    const held = this.held.splice(0);
    if (held.length === 0) return;
    this.process.resumeOutput();
    // The session gets its process first, then what that has said.
    queueMicrotask(() => {
      for (const chunk of held) heir.output(chunk);
    });
  }

  output(chunk: Uint8Array): void {
    if (this.heir) return this.heir.output(chunk);
    this.held.push(chunk);
    this.heldBytes += chunk.length;
    if (this.heldBytes > HELD_BYTES) this.process.pauseOutput();
  }

  inputEmpty(): void {
    this.heir?.inputEmpty();
  }

  log(range: Uint8Array): Promise<void> | undefined {
    return this.host.log(range);
  }

  ended(report: Omit<ExitReport, "session">): void {
    if (this.heir) this.heir.ended(report);
    else this.over(this, { session: this.name, ...report });
  }
}

function isSame(one: ServerCommand, other: ServerCommand): boolean {
  return one === other || Bun.deepEquals(one, other);
}
