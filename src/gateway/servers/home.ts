/** The one modern process that a principal has of a server, and the listens of its legacy clients, which outlive it. */
import { Fault } from "../../base/fault.ts";
import type { Client, Exchange, Filter, Note, Reply } from "../exchange.ts";
import { heeding } from "../heeding.ts";
import { LIST_CHANGED, RESOURCE_UPDATED } from "./listeners.ts";
import type { ModernProcess } from "./modern.ts";

/** A listen that the server has ended is begun again, each time after twice as long. */
const AGAIN_MS = 1_000;
const AGAIN_MS_MAX = 60_000;

export interface Idle {
  /** A process that nobody uses, nor listens to, is closed after so long, … */
  idleMs: number;
  /** … and one where legacy clients listen to lists, and nobody to anything else, after this; `Infinity`: never. */
  sessionIdleMs: number;
}

interface Standing {
  filter: Filter;
  client: Client;
  hear(note: Note): void;
  signal: AbortSignal;
  waitMs: number;
}

export class Home {
  private current: ModernProcess | undefined;
  private opening: Promise<ModernProcess> | undefined;
  /** Listens that wait for the next process. */
  private readonly waiting = new Set<Standing>();
  private usedAt = performance.now();
  private sweeper: ReturnType<typeof setInterval> | undefined;
  private closed = false;

  constructor(
    private readonly start: () => Promise<ModernProcess>,
    private readonly idle: Idle,
  ) {}

  get process(): ModernProcess | undefined {
    return this.current;
  }

  async ready(signal: AbortSignal): Promise<ModernProcess> {
    return this.current ?? (await heeding(signal, this.open()));
  }

  async request(exchange: Exchange, client: Client): Promise<Reply> {
    this.usedAt = performance.now();
    const process = await this.ready(exchange.signal);
    try {
      return await process.request(exchange, client);
    } finally {
      this.usedAt = performance.now();
    }
  }

  /** A modern client listens anew itself when it `ended`; for a legacy one that is done here, since it knows of no end. */
  async listen(
    filter: Filter,
    client: Client,
    hear: (note: Note) => void,
    signal: AbortSignal,
    ended: () => void,
  ): Promise<Filter> {
    const process = await this.ready(signal);
    if (client.era === "modern") {
      return await process.listen(filter, client, hear, signal, () => signal.aborted || ended());
    }
    return await this.stand(process, { filter, client, hear, signal, waitMs: AGAIN_MS });
  }

  adopt(process: ModernProcess): void {
    if (this.closed || this.current || process.over) return process.close();
    this.current = process;
    process.onEnded = () => this.forget(process);
    this.sweeper = setInterval(() => this.sweep(), this.idle.idleMs / 4);
    this.sweeper.unref();
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const standing of waiting) void this.again(process, standing);
  }

  close(): void {
    this.closed = true;
    const process = this.current;
    if (!process) return;
    this.forget(process);
    process.close();
  }

  private open(): Promise<ModernProcess> {
    if (this.closed) return Promise.reject(new Fault("cancelled", "the client has gone"));
    this.opening ??= this.start()
      .then((process) => {
        this.adopt(process);
        // Somebody else may have opened one meanwhile.
        return this.current ?? process;
      })
      .finally(() => (this.opening = undefined));
    return this.opening;
  }

  private async stand(process: ModernProcess, standing: Standing): Promise<Filter> {
    const { filter, client, hear, signal } = standing;
    return await process.listen(filter, client, hear, signal, () => {
      if (signal.aborted) return;
      if (process.over) this.await(standing);
      else this.later(process, standing);
    });
  }

  private await(standing: Standing): void {
    if (this.closed) return;
    const next = this.current;
    if (next && !next.over) return void this.again(next, standing);
    this.waiting.add(standing);
    standing.signal.addEventListener("abort", () => this.waiting.delete(standing), { once: true });
  }

  private later(process: ModernProcess, standing: Standing): void {
    setTimeout(() => {
      if (standing.signal.aborted) return;
      if (process.over) this.await(standing);
      else void this.again(process, standing);
    }, standing.waitMs).unref();
    standing.waitMs = Math.min(standing.waitMs * 2, AGAIN_MS_MAX);
  }

  private async again(process: ModernProcess, standing: Standing): Promise<void> {
    try {
      const granted = await this.stand(process, standing);
      // What has changed while nobody was there to hear of it.
      for (const [kind, { method }] of Object.entries(LIST_CHANGED)) {
        if (kind in granted) standing.hear({ method, params: {} });
      }
      for (const uri of granted.resourceSubscriptions ?? [])
        standing.hear({ method: RESOURCE_UPDATED, params: { uri } });
    } catch {
      if (standing.signal.aborted) return;
      if (process.over) this.await(standing);
      else this.later(process, standing);
    }
  }

  private forget(process: ModernProcess): void {
    if (this.current !== process) return;
    this.current = undefined;
    clearInterval(this.sweeper);
  }

  private sweep(): void {
    const process = this.current;
    if (!process || process.inFlight > 0 || process.audience === "attentive") return;
    const { idleMs, sessionIdleMs } = this.idle;
    if (performance.now() - this.usedAt < (process.audience === "patient" ? sessionIdleMs : idleMs)) return;
    this.forget(process);
    process.close();
  }
}
