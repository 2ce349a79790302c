/**
 * The session policy `shared`: one server process for all sessions of the bridge, started for the first and kept while
 * the bridge lives. A session has a seat at it, which looks to it like a process of its own.
 */
import type { SessionEvents, Launch, ServerProcess } from "../child.ts";
import { Drops } from "../drops.ts";
import { LineSplitter } from "../lines.ts";
import { Sieve } from "../sieve.ts";
import type { ServerCommand } from "../stdio.ts";
import type { ExitReport } from "../wire.ts";
import type { Guest } from "./guest.ts";
import { Router } from "./router.ts";

/**
 * So long the server is not read for one client whose queue is full. All others wait, too; so that is not for a slow one,
 * but gives a fast one the moment that it needs.
 */
const PATIENCE_MS = 100;
/** A client that takes so much in that time is not slow. */
const PATIENCE_BYTES = 1024 * 1024;
const SWEEP_MS = 5_000;

export interface SharedHost {
  readonly messageBytes: number;
  say(text: string): void;
  log(range: Uint8Array): Promise<void> | undefined;
  /** No shared process is left. */
  sharedEnded(): void;
}

export class SharedServer {
  private current: SharedProcess | undefined;
  private droppedBefore = 0;
  private ends = 0;
  private endsTold = 0;

  constructor(
    private readonly host: SharedHost,
    private readonly launch: Launch,
  ) {}

  /** A process is there, with clients or without. */
  get running(): boolean {
    return this.current !== undefined;
  }

  /** Whether a process has ended since the last call. */
  isNews(): boolean {
    const news = this.ends > this.endsTold;
    this.endsTold = this.ends;
    return news;
  }

  /** Of the process, if there is one. */
  get pids(): number[] {
    return this.current ? [this.current.pid] : [];
  }

  /** Lines of the server, or for it, that went to nobody. */
  get dropped(): number {
    return this.droppedBefore + (this.current?.dropped ?? 0);
  }

  /** A seat at the process, which is started if there is none. Throws StartFailure. */
  readonly join = (command: ServerCommand, stopMs: number, events: SessionEvents): ServerProcess => {
    this.current ??= new SharedProcess(command, stopMs, this.host, this.launch, (ended) => {
      this.droppedBefore += ended.dropped;
      this.current = undefined;
      this.ends++;
    });
    return this.current.seat(events);
  };

  /** Ends the process within `budgetMs`; its clients get what it still answers. */
  stop(budgetMs: number): void {
    this.current?.stop(budgetMs);
  }
}

class SharedProcess {
  private readonly router: Router;
  private readonly child: ServerProcess;
  private readonly seats = new Set<Seat>();
  private readonly sieve: Sieve;
  private readonly drops: Drops;
  private readonly sweeper: ReturnType<typeof setInterval>;
  stopping = false;

  constructor(
    command: ServerCommand,
    stopMs: number,
    private readonly host: SharedHost,
    launch: Launch,
    private readonly over: (ended: SharedProcess) => void,
  ) {
    this.drops = new Drops((text) => host.say(`shared server: ${text}`));
    const dropped = this.drops.note.bind(this.drops);
    this.router = new Router({ dropped, limitBytes: host.messageBytes }, () => performance.now());
    this.sieve = new Sieve(
      host.messageBytes,
      (bytes, start, end, clean) => {
        this.router.fromServer(bytes, start, end, clean);
        return false;
      },
      () => {},
      (line) => (line.ended ? this.router.longFromServer(line) : dropped("too long", "server", line.head)),
    );
    this.child = launch(command, stopMs, {
      output: (chunk) => this.output(chunk),
      inputEmpty: () => this.seats.forEach((seat) => seat.events.inputEmpty()),
      log: (range) => host.log(range),
      ended: (report) => this.ended(report),
    });
    this.sweeper = setInterval(() => this.router.sweep(), SWEEP_MS);
  }

  get dropped(): number {
    return this.drops.total;
  }

  get pid(): number {
    return this.child.pid;
  }

  get queuedBytes(): number {
    return this.child.queuedBytes;
  }

  seat(events: SessionEvents): Seat {
    const seat = new Seat(this, this.router.join(), events, this.host.messageBytes);
    this.seats.add(seat);
    return seat;
  }

  line(guest: Guest, bytes: Uint8Array, start: number, end: number): void {
    this.router.fromClient(guest, bytes, start, end);
  }

  /** Sends what was gathered, to the server and to clients. */
  flush(): void {
    const bytes = this.router.takeForServer();
    if (bytes) this.child.write(bytes);
    for (const seat of this.seats) seat.flush();
  }

  leave(seat: Seat): void {
    if (!this.seats.delete(seat)) return;
    this.router.leave(seat.guest);
    this.flush();
    this.balance();
  }

  /** Reads the server unless somebody is worth waiting for. */
  balance(): void {
    let waits = false;
    for (const seat of this.seats) waits ||= seat.awaited;
    if (waits) this.child.pauseOutput();
    else this.child.resumeOutput();
  }

  stop(budgetMs: number): void {
    this.stopping = true;
    this.child.stop(budgetMs);
  }

  private output(chunk: Uint8Array): void {
    this.sieve.push(chunk);
    this.flush();
  }

  private ended(report: Omit<ExitReport, "session">): void {
    clearInterval(this.sweeper);
    this.sieve.end();
    this.flush();
    const summary = this.drops.summary();
    if (summary) this.host.say(`shared server: ${summary}`);
    this.over(this);
    for (const seat of this.seats) seat.ended(report);
    this.host.sharedEnded();
  }
}

/** One session's place at the shared process. */
class Seat implements ServerProcess {
  readonly shared = true;
  /** The session's queue is full, and its client takes enough of it that the server waits. */
  awaited = false;
  private full = false;
  private over = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly splitter: LineSplitter;

  constructor(
    private readonly process: SharedProcess,
    readonly guest: Guest,
    readonly events: SessionEvents,
    messageBytes: number,
  ) {
    this.splitter = new LineSplitter(messageBytes, () => {});
  }

  get pid(): number {
    return this.process.pid;
  }

  get queuedBytes(): number {
    return this.process.queuedBytes;
  }

  /** Whole lines. */
  write(bytes: Uint8Array): void {
    this.splitter.push(bytes, (line, start, end) => this.process.line(this.guest, line, start, end));
    this.process.flush();
  }

  flush(): void {
    const bytes = this.guest.out.take();
    if (bytes && !this.over) this.events.output(bytes);
  }

  pauseOutput(): void {
    if (this.full || this.over) return;
    this.full = true;
    this.wait();
  }

  resumeOutput(): void {
    if (!this.full) return;
    this.full = false;
    this.stopWaiting();
  }

  /** The client leaves; the process stays. When the whole bridge ends, the process's own end is waited for. */
  stop(): void {
    if (this.over || this.process.stopping) return;
    this.over = true;
    this.stopWaiting();
    this.process.leave(this);
    const reason = "its client has left the shared server, which stays";
    // Not at once: who stops a process does not expect its end in the same breath.
    setTimeout(() => this.events.ended({ code: 0, signal: null, oom: false, stderr: [], reason }), 0);
  }

  ended(report: Omit<ExitReport, "session">): void {
    if (this.over) return;
    this.over = true;
    this.stopWaiting();
    this.events.ended(report);
  }

  private wait(): void {
    this.awaited = true;
    this.process.balance();
    const before = this.events.waitingBytes();
    this.timer = setTimeout(() => {
      if (before - this.events.waitingBytes() >= PATIENCE_BYTES) return this.wait();
      this.stopWaiting();
    }, PATIENCE_MS);
  }

  private stopWaiting(): void {
    clearTimeout(this.timer);
    if (!this.awaited) return;
    this.awaited = false;
    this.process.balance();
  }
}
