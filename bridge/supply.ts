/** Where a session's server process comes from: a spare one, else a new one, and none while all that are tried fail. */
import { Breaker, USEFUL_MS } from "./breaker.ts";
import type { Checkup, Finding } from "./checkup.ts";
import { type ChildEvents, type Launch, type ServerProcess, StartFailure } from "./child.ts";
import { serverEnvironment } from "./environment.ts";
import { Spares, type SparesHost } from "./spares.ts";
import type { ServerCommand } from "./stdio.ts";
import { troubleOf } from "./survey.ts";
import type { Trouble } from "./wire.ts";

export interface SupplyOptions {
  command: ServerCommand["argv"];
  stopMs: number;
  /** Spares to keep. */
  spare: number;
}

export interface Supplied {
  process: ServerProcess;
  /** It was a spare. */
  ahead: boolean;
}

export class Supply {
  private readonly spares: Spares;
  private readonly breaker = new Breaker();
  private startFailure: string | undefined;

  constructor(
    private readonly options: SupplyOptions,
    private readonly launch: Launch,
    host: SparesHost,
  ) {
    this.spares = new Spares(options.spare, options.stopMs, launch, host);
  }

  get spareCount(): number {
    return this.spares.size;
  }

  /** Nothing is to be started now. */
  get resting(): boolean {
    return this.breaker.restMs() > 0;
  }

  /** No process is left but those of sessions. */
  get empty(): boolean {
    return this.spares.alive === 0;
  }

  /** Spares have these secrets from now on. */
  prepare(secrets: Record<string, string>): void {
    if (this.options.spare > 0) this.spares.prepare(this.command(secrets));
  }

  /** Throws StartFailure. */
  take(secrets: Record<string, string> | undefined, events: ChildEvents): Supplied {
    const loop = this.breaker.restMs() > 0 ? this.breaker.describe() : undefined;
    if (loop !== undefined) throw new StartFailure(loop);
    try {
      const command = this.command(secrets);
      const spare = this.spares.take(command, events);
      const process = spare ?? this.launch(command, this.options.stopMs, events);
      this.startFailure = undefined;
      return { process, ahead: spare !== undefined };
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
  ended({ proved, ageMs }: Checkup, reason: string): void {
    if (proved || ageMs >= USEFUL_MS) this.breaker.worked();
    else this.breaker.failed(reason);
  }

  trouble(findings: readonly Finding[]): Trouble | undefined {
    return troubleOf(this.breaker.describe(), this.startFailure, findings);
  }

  /** Ends the spares within `budgetMs`; none is started any more. */
  stop(budgetMs: number): void {
    this.spares.stop(budgetMs);
  }

  private command(secrets: Record<string, string> | undefined): ServerCommand {
    return { argv: this.options.command, env: serverEnvironment(process.env, secrets) };
  }
}
