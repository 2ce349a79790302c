/**
 * What every change passes, whoever asks for it and over which way: the judgement, and the audit log before and after.
 * A toolset has one for its tools, a manager one for REST, and with it for the command line.
 */
import { join } from "node:path";
import { DATA_FILE } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";
import { type Log, SILENT } from "../base/log.ts";
import { type AuditEntry, AuditLog, type Decision } from "./audit.ts";
import { type Action, requireTool } from "./policy.ts";
import { Redaction } from "./redact.ts";
import type { Safety } from "./settings.ts";

/** Who wants what; of the arguments only names and types are written. */
export type Wish = Pick<AuditEntry, "who" | "tool" | "args">;

export class Gate {
  readonly redaction: Redaction;
  private readonly audit: AuditLog;

  constructor(
    readonly safety: Safety,
    dataDir: string,
    private readonly log: Log = SILENT,
  ) {
    this.redaction = new Redaction(safety.redactPatterns);
    this.audit = new AuditLog(join(dataDir, DATA_FILE.logs, "audit.jsonl"), (text) => this.redaction.text(text));
  }

  /**
   * Lets the owner of the manager in, or says why not; what follows goes through what it answers. A log that cannot be
   * written keeps no owner from making room on a full disk, and no client from its server: the manager's own log has a
   * word on it. Faults: `forbidden`.
   */
  async enter(action: Action, who: string, args: unknown): Promise<<T>(work: () => Promise<T>) => Promise<T>> {
    const wish = { who, tool: action.name, args };
    const from = performance.now();
    try {
      requireTool(action, this.safety);
    } catch (error) {
      await this.write(wish, "denied", 0, "forbidden");
      throw error;
    }
    if (action.chronicled) return (work) => work();
    await this.write(wish, "begun", performance.now() - from);
    return (work) => this.written(wish, work, () => "allowed");
  }

  /** Nothing that a model asks for is done before it is written down. Faults: `exhausted`. */
  async begin({ level }: Action, wish: Wish, ms: number): Promise<void> {
    if (level === "safe") return;
    try {
      await this.audit.write({ ...wish, decision: "begun", ms });
    } catch (cause) {
      throw new Fault("exhausted", "nothing was done: the audit log cannot be written", {
        hint: "Make room on the disk of the data directory, or give its logs folder back to this user.",
        cause,
      });
    }
  }

  /** In the log, however it ends. What has been done stays done when its end cannot be written: its beginning was. */
  async written<T>(wish: Wish, work: () => Promise<T>, decide: (result: T) => Decision): Promise<T> {
    const from = performance.now();
    try {
      const result = await work();
      await this.write(wish, decide(result), performance.now() - from);
      return result;
    } catch (error) {
      const { kind, message } = Fault.from(error);
      if (kind === "internal") this.log.error(wish.tool, { reason: this.redaction.text(message) });
      const decision = kind === "forbidden" ? "denied" : kind === "invalid" ? "refused" : "failed";
      await this.write(wish, decision, performance.now() - from, kind);
      throw error;
    }
  }

  private async write(wish: Wish, decision: Decision, ms: number, fault?: string): Promise<void> {
    this.log.debug(wish.tool, { decision, ms: Math.round(ms), fault });
    try {
      await this.audit.write({ ...wish, decision, ms, ...(fault === undefined ? {} : { fault }) });
    } catch (error) {
      this.log.error("the audit log cannot be written", { tool: wish.tool, reason: Fault.from(error).message });
    }
  }
}
