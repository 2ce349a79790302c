/**
 * The legacy processes that serve one profile of one principal. A call that can be answered with a question, or wants to
 * hear log messages, has a process to itself for as long as it takes (its lease): only so can what comes be told to be its.
 * All other requests share. One client's own process is a pool of one, without leases.
 */
import { Fault } from "../../base/fault.ts";
import type { Exchange, Filter, Note, Reply } from "../exchange.ts";
import { heeding } from "../heeding.ts";
import type { LegacyProcess } from "./legacy.ts";
import type { Listeners } from "./listeners.ts";

/** A call waits so long for a process while all of them wait for people, … */
const LEASE_MS = 5_000;
/** … and so long while some of them work. */
const LEASE_TOTAL_MS = 60_000;
const WAITERS_MAX = 64;
/** After a cancelled call a process is not given to the next one for so long: words of the old one may still come. */
const COOL_MS = 1_000;

export interface PoolOptions {
  start(): Promise<LegacyProcess>;
  listeners: Listeners;
  /** Processes at the same time. */
  max: number;
  /** Closed when unused for so long; `Infinity`: only by `close`. */
  idleMs: number;
  /** Whether who listens to lists uses it; who listens to resources always does. */
  heedsListeners: boolean;
}

interface Waiter {
  exchange: Exchange;
  /** To look again: it may have been given a process. */
  wake(): void;
}

export class Pool {
  private readonly processes: LegacyProcess[] = [];
  private readonly cooling = new Set<LegacyProcess>();
  private readonly waiters: Waiter[] = [];
  private opening: Promise<LegacyProcess> | undefined;
  private usedAt = performance.now();
  private sweeper: ReturnType<typeof setInterval> | undefined;
  private closed = false;

  constructor(private readonly options: PoolOptions) {}

  /** One that lives, if there is one. */
  get process(): LegacyProcess | undefined {
    return this.processes.find(({ lease }) => !lease) ?? this.processes[0];
  }

  get idle(): boolean {
    return (
      !this.opening && this.waiters.length === 0 && this.processes.every((one) => one.inFlight === 0 && !one.lease)
    );
  }

  /** When it was used last, monotonic. */
  get lastUsedAt(): number {
    return this.usedAt;
  }

  /** `exclusive`: `needed` where it can be asked something; `wanted` for its log messages, which are not worth a wait. */
  async request(exchange: Exchange, exclusive: "needed" | "wanted" | "no"): Promise<Reply> {
    this.usedAt = performance.now();
    if (exclusive === "no") return await (await this.shared(exchange.signal)).request(exchange);
    if (exclusive === "wanted" && !this.hasRoom) {
      const { log: _, ...silent } = exchange;
      return await (await this.shared(exchange.signal)).request(silent);
    }
    const process = await this.lease(exchange);
    try {
      return await process.request(exchange);
    } finally {
      this.usedAt = performance.now();
      this.release(process, exchange);
    }
  }

  /** Whoever cannot go on with the next process gives `ended`. */
  async listen(
    filter: Filter,
    hear: (note: Note) => void,
    signal: AbortSignal,
    ended: (() => void) | undefined,
  ): Promise<Filter> {
    const process = await this.shared(signal);
    return await heeding(signal, this.options.listeners.add(process, filter, hear, signal, ended));
  }

  async shared(signal: AbortSignal): Promise<LegacyProcess> {
    return this.process ?? (await heeding(signal, this.open()));
  }

  /** One that was opened to find out the era. */
  adopt(process: LegacyProcess): void {
    if (this.closed || process.over) return process.close();
    this.processes.push(process);
    process.onEnded = () => this.forget(process);
    this.options.listeners.joined(process);
    const { idleMs } = this.options;
    if (idleMs === Infinity || this.sweeper) return;
    this.sweeper = setInterval(() => this.sweep(idleMs), idleMs / 4);
    this.sweeper.unref();
  }

  close(): void {
    this.closed = true;
    clearInterval(this.sweeper);
    for (const process of this.processes.slice()) {
      this.forget(process);
      process.close();
    }
    for (const { wake } of this.waiters.splice(0)) wake();
  }

  /** Starts at the same time are one. */
  private open(): Promise<LegacyProcess> {
    if (this.closed) return Promise.reject(new Fault("cancelled", "the client has gone"));
    this.opening ??= this.options
      .start()
      .then((process) => {
        this.adopt(process);
        return process;
      })
      .finally(() => (this.opening = undefined));
    return this.opening;
  }

  private get free(): LegacyProcess | undefined {
    return this.processes.find((one) => !one.lease && !this.cooling.has(one));
  }

  /** Whether a lease is to be had without a wait for others. */
  private get hasRoom(): boolean {
    return this.free !== undefined || this.processes.length < this.options.max;
  }

  private async lease(exchange: Exchange): Promise<LegacyProcess> {
    const sinceAt = performance.now();
    for (;;) {
      if (this.closed) throw new Fault("cancelled", "the client has gone");
      const mine = this.processes.find(({ lease }) => lease === exchange) ?? this.free;
      if (mine) {
        mine.lease = exchange;
        return mine;
      }
      // What one process remembers the next one does not: better to wait a moment for the same.
      if (this.cooling.size === 0 && this.processes.length < this.options.max)
        await heeding(exchange.signal, this.open());
      else await this.turn(exchange, sinceAt);
    }
  }

  /** Waits until a process was given to it, or it is worth looking again. */
  private async turn(exchange: Exchange, sinceAt: number): Promise<void> {
    const waitedMs = performance.now() - sinceAt;
    const allAsk = this.processes.every((one) => one.isAsking);
    if (waitedMs > (allAsk ? LEASE_MS : LEASE_TOTAL_MS) || this.waiters.length >= WAITERS_MAX) {
      const why = allAsk ? "wait for answers of people" : "are busy";
      throw new Fault("exhausted", `all processes of the server ${why}; the request was not sent`);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { exchange, wake: resolve };
    this.waiters.push(waiter);
    const timer = setTimeout(resolve, LEASE_MS);
    try {
      await heeding(exchange.signal, promise);
    } catch (error) {
      const given = this.processes.find(({ lease }) => lease === exchange);
      if (given) this.release(given, exchange, false);
      throw error;
    } finally {
      clearTimeout(timer);
      const at = this.waiters.indexOf(waiter);
      if (at >= 0) this.waiters.splice(at, 1);
    }
  }

  private release(process: LegacyProcess, exchange: Exchange, used = true): void {
    if (process.lease !== exchange) return;
    process.lease = undefined;
    if (used && exchange.signal.aborted && !process.over) {
      this.cooling.add(process);
      setTimeout(() => {
        if (this.cooling.delete(process)) this.handOver(process);
      }, COOL_MS).unref();
    } else this.handOver(process);
  }

  private handOver(process: LegacyProcess): void {
    const next = this.waiters.shift();
    if (!next) return;
    if (!process.over && !process.lease) process.lease = next.exchange;
    next.wake();
  }

  private forget(process: LegacyProcess): void {
    const at = this.processes.indexOf(process);
    if (at < 0) return;
    this.processes.splice(at, 1);
    this.cooling.delete(process);
    if (this.processes.length === 0) {
      clearInterval(this.sweeper);
      this.sweeper = undefined;
    }
    this.options.listeners.left(process);
    // There is room for another one.
    this.waiters.shift()?.wake();
  }

  private sweep(idleMs: number): void {
    const { heedsListeners, listeners } = this.options;
    const heard = heedsListeners ? listeners.size > 0 : listeners.resources > 0;
    if (!this.idle || heard || performance.now() - this.usedAt < idleMs) return;
    for (const process of this.processes.slice()) {
      this.forget(process);
      process.close();
    }
  }
}
