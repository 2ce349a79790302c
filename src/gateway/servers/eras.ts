/**
 * Which eras a server speaks, found out by speaking to it. An era belongs to a process: a process that was asked in one
 * era is never asked in the other, and one that has said no is not used. So finding out costs no process where the server
 * speaks the client's era, because the first words of the process are the same that are needed anyway; and one where not.
 */
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { Description, Era } from "../exchange.ts";
import { Refused, Spoiled } from "./handshake.ts";
import { LegacyProcess, type LegacyRole } from "./legacy.ts";
import type { Lines } from "./lines.ts";
import { ModernProcess } from "./modern.ts";
import type { Verdict, Verdicts } from "./verdicts.ts";

/** The answer to the first message, once the process runs. */
const HANDSHAKE_MS = 60_000;
/** A server that has just taken neither era is not started again for so long. */
const BROKEN_MS = 5_000;

export type Process = LegacyProcess | ModernProcess;

export interface ErasOptions {
  /** Lines to a fresh process of the server. */
  open(deadline: Deadline): Promise<Lines>;
  /** What the server is made from, as far as it can matter: a changed one may speak another era. */
  identity(): string;
  verdicts: Verdicts;
  /** What the operator has said. */
  era: Era | "auto";
  /** All sessions meet in one process: the era that does no harm comes first. */
  shared: boolean;
  startMs: number;
  /** A server that has said nothing for so long either is slow, or does not answer what it does not know. */
  silentMs: number;
}

/** What was known of the server is not so any more; it is to be found out again. */
export class Stale extends Error {
  override readonly name = "Stale";

  constructor(readonly fault: Fault) {
    super(fault.message);
  }
}

export class Eras {
  private probing: { client: Era; work: Promise<unknown> } | undefined;
  private broken: { fault: Fault; at: number } | undefined;

  constructor(private readonly options: ErasOptions) {}

  /** In which one a client of this era is served; undefined while that is not known. */
  for(client: Era): Era | undefined {
    const { era } = this.options;
    if (era !== "auto") return era;
    const verdict = this.verdict;
    if (!verdict) return undefined;
    const [first, second] = this.order(client);
    if (verdict[first] === undefined) return undefined;
    if (verdict[first] !== "no") return first;
    return verdict[second] === undefined || verdict[second] === "no" ? undefined : second;
  }

  /** As it was said when this manager last started the server in this era. */
  description(era: Era): Description | undefined {
    const found = this.verdict?.[era];
    return typeof found === "string" ? undefined : found;
  }

  /**
   * Opens a process of the era that suits best, where that is not known. Undefined: it is known now.
   * Faults: those of `open`, `server-failed`, `timeout`.
   */
  async find(client: Era, role: LegacyRole): Promise<Process | undefined> {
    // One at a time: the others want to know the same, and each would wait for the same failure after the one before.
    while (this.probing) {
      const { client: asking, work } = this.probing;
      await work.catch((error: unknown) => {
        if (asking === client) throw error;
      });
      if (this.for(client)) return undefined;
    }
    const work = this.tryInOrder(client, role);
    this.probing = { client, work };
    try {
      return await work;
    } finally {
      this.probing = undefined;
    }
  }

  /** A process of an era that is known. Throws `Stale`; faults: those of `open`, `timeout`. */
  async start(era: "legacy", role: LegacyRole): Promise<LegacyProcess>;
  async start(era: "modern"): Promise<ModernProcess>;
  async start(_era: Era, role?: LegacyRole): Promise<Process> {
    const { identity, verdicts } = this.options;
    try {
      return role ? await this.legacy(role) : await this.modern();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (this.options.era !== "auto") throw error.fault;
      verdicts.drop(identity());
      throw new Stale(error.fault);
    }
  }

  private get verdict(): Verdict | undefined {
    return this.options.verdicts.get(this.options.identity());
  }

  private order(client: Era): [Era, Era] {
    return client === "legacy" || this.options.shared ? ["legacy", "modern"] : ["modern", "legacy"];
  }

  private async tryInOrder(client: Era, role: LegacyRole): Promise<Process | undefined> {
    if (this.broken && performance.now() - this.broken.at < BROKEN_MS) throw this.broken.fault;
    const { identity, verdicts } = this.options;
    const made = identity();
    const refusals: Refused[] = [];
    for (const era of this.order(client)) {
      if (refusals.length > 0 && this.description(era)) break;
      try {
        const process = era === "legacy" ? await this.legacy(role) : await this.modern();
        this.broken = undefined;
        for (const refused of refusals) verdicts.note(made, refused.era, "no");
        return process;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        refusals.push(error);
      }
    }
    if (refusals.length < 2) {
      // The other era is known, and has processes of its own.
      for (const refused of refusals) verdicts.note(made, refused.era, "no");
      return undefined;
    }
    verdicts.drop(made);
    const fault = neither(refusals);
    this.broken = { fault, at: performance.now() };
    throw fault;
  }

  private async legacy(role: LegacyRole): Promise<LegacyProcess> {
    const lines = await this.options.open(Deadline.in(this.options.startMs));
    const process = await LegacyProcess.open(lines, role, Deadline.in(HANDSHAKE_MS));
    this.options.verdicts.note(this.options.identity(), "legacy", process.description);
    return process;
  }

  private async modern(): Promise<ModernProcess> {
    let patienceMs = this.for("modern") === "modern" ? Infinity : this.options.silentMs;
    for (;;) {
      const lines = await this.options.open(Deadline.in(this.options.startMs));
      try {
        const process = await ModernProcess.open(lines, patienceMs, Deadline.in(HANDSHAKE_MS));
        this.options.verdicts.note(this.options.identity(), "modern", process.description);
        return process;
      } catch (error) {
        if (!(error instanceof Spoiled)) throw error;
        patienceMs = Infinity;
      }
    }
  }
}

function neither(refusals: Refused[]): Fault {
  const [first, second] = refusals.map(({ fault }) => fault);
  const { data, message } = second ?? first ?? new Fault("internal", "no era was tried");
  const both = first && first.message !== message ? `${first.message}; ${message}` : message;
  return new Fault("server-failed", both, { cause: second, ...(data ? { data } : {}) });
}
