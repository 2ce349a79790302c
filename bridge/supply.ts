/**
 * Where a session's server process comes from: the shared one, a spare one, else a new one, and none while all that are
 * tried fail.
 */
import { Breaker, USEFUL_MS } from "./breaker.ts";
import type { Checkup, Finding } from "./checkup.ts";
import { type SessionEvents, type Launch, type ServerProcess, StartFailure } from "./child.ts";
import { serverEnvironment } from "./environment.ts";
import type { SharedHost, SharedServer } from "./shared/server.ts";
import { Spares, type SparesHost } from "./spares.ts";
import type { ServerCommand } from "./stdio.ts";
import { troubleOf } from "./survey.ts";
import type { ExitReport, Trouble } from "./wire.ts";

export interface SupplyOptions {
  command: ServerCommand["argv"];
  stopMs: number;
  /** Spares to keep. */
  spare: number;
}

export type SupplyHost = SparesHost & SharedHost;

/** Makes the shared process; given for the policy `shared`, which alone loads what it takes. */
export type ShareMaker = typeof SharedServer;

export class Supply {
  private readonly spares: Spares;
  private readonly shared: SharedServer | undefined;
  private readonly breaker = new Breaker();
  private startFailure: string | undefined;
  /** What was done for the last session: a word for the log. */
  how = "started";

  constructor(
    private readonly options: SupplyOptions,
    private readonly launch: Launch,
    host: SupplyHost,
    Shared: ShareMaker | undefined,
  ) {
    this.spares = new Spares(options.spare, options.stopMs, launch, host);
    this.shared = Shared && new Shared(host, this.launchOwn);
  }

  /** Of processes that belong to no one session. */
  get pids(): readonly number[] {
    return this.shared?.pids ?? [];
  }

  /** Lines that were not passed on and belong to no one session. */
  get dropped(): number {
    return this.shared?.dropped ?? 0;
  }

  get spareCount(): number {
    return this.spares.size;
  }

  /** Nothing is to be started now. */
  get resting(): boolean {
    return this.breaker.restMs() > 0;
  }

  /** Spares have these secrets from now on. */
  prepare(secrets: Record<string, string>): void {
    if (this.options.spare > 0) this.spares.prepare(this.command(secrets));
  }

  /** Throws StartFailure. */
  take(secrets: Record<string, string> | undefined, events: SessionEvents): ServerProcess {
    const loop = this.breaker.restMs() > 0 ? this.breaker.describe() : undefined;
    if (loop !== undefined) throw new StartFailure(loop);
    try {
      const command = this.command(secrets);
      this.how = "shared";
      const launch = this.shared?.join ?? this.launchOwn;
      const process = launch(command, this.options.stopMs, events);
      this.startFailure = undefined;
      return process;
    } catch (error) {
      this.startFailure = error instanceof Error ? error.message : String(error);
      this.breaker.failed(this.startFailure);
      throw error;
    }
  }

  /** Some server process is of use, so there is no loop. */
  works(): void {
    this.breaker.worked();
  }

  /** A session's process has ended by itself, and none that is there now has answered anything. */
  ended({ proved, ageMs }: Checkup, { reason, stderr }: ExitReport): void {
    // A shared process ends for all of its sessions; that is one end.
    if (this.shared && !this.shared.isNews()) return;
    if (proved || ageMs >= USEFUL_MS) this.breaker.worked();
    else this.breaker.failed(reason + lastWords(stderr));
  }

  trouble(findings: readonly Finding[]): Trouble | undefined {
    return troubleOf(this.breaker.describe(), this.startFailure, findings);
  }

  /** Ends the spares within `budgetMs`; none is started any more. */
  stop(budgetMs: number): void {
    this.spares.stop(budgetMs);
  }

  /** Ends what belongs to no session within `budgetMs`, the shared process too. True if nothing is left of it. */
  finish(budgetMs: number): boolean {
    this.stop(budgetMs);
    this.shared?.stop(budgetMs);
    return this.spares.alive === 0 && !this.shared?.running;
  }

  private readonly launchOwn: Launch = (command, stopMs, events) => {
    const spare = this.spares.take(command, events);
    this.how = spare ? "started ahead" : "started";
    return spare ?? this.launch(command, stopMs, events);
  };

  private command(secrets: Record<string, string> | undefined): ServerCommand {
    return { argv: this.options.command, env: serverEnvironment(process.env, secrets) };
  }
}

const WORDS_CHARS = 200;

function lastWords(stderr: readonly string[]): string {
  const last = stderr.at(-1)?.trim().slice(0, WORDS_CHARS);
  return last ? `, its last words: ${last}` : "";
}
