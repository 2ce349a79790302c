/**
 * The one way of every call, whoever makes it: find, gate, parse, confirm, run, bound, write down.
 */
import { join } from "node:path";
import PQueue from "p-queue";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { similar } from "../base/similar.ts";
import { type Environment, findEndpoint } from "../docker/endpoint.ts";
import { Engine } from "../docker/engine.ts";
import type { DockerRuntime } from "../runtime/docker/docker.ts";
import type { VolumeStore } from "../runtime/volume-store.ts";
import { type AuditEntry, AuditLog, type Decision } from "./audit.ts";
import { Confirmations } from "./confirm.ts";
import { fit } from "./output.ts";
import { judgeTool, requireTool } from "./policy.ts";
import { Recovery } from "./recovery.ts";
import { Redaction } from "./redact.ts";
import { Logins } from "./registry/logins.ts";
import type { Settings } from "./settings.ts";
import { type Outcome, type Plan, type Step, type Tool, TOOL_MS, type ToolCall } from "./tool.ts";

const CONNECT_MS = 10_000;
/** Calls that wait for their turn; more are refused. */
const WAITING_MAX = 1_000;
/** The argument with which a destructive call is made for good. */
export const CONFIRMATION = "confirmation_token";

export interface Caller {
  /** For the audit log: the client's name and version. */
  who: string;
  /** Of a transport that has several: a confirmation holds in its own only. */
  session?: string | undefined;
  signal: AbortSignal;
  report(step: Step): void;
}

/** `begin`: the last thing before something changes. */
interface Beginner extends Caller {
  begin(): Promise<void>;
}

/** `ask`: nothing was done yet; the same call with this token does it. */
export type Answer = { kind: "done"; outcome: Outcome } | { kind: "ask"; plan: Plan; token: string };

export class Toolset {
  readonly recovery: Recovery;
  private readonly byName: ReadonlyMap<string, Tool>;
  private readonly confirmations = new Confirmations();
  private readonly redaction: Redaction;
  private readonly logins = new Logins();
  private readonly audit: AuditLog;
  private readonly queue: PQueue;
  private connected: Promise<Engine> | undefined;
  private runtime: DockerRuntime | undefined;

  constructor(
    tools: readonly Tool[],
    readonly settings: Settings,
    private readonly env: Environment,
  ) {
    this.byName = new Map(tools.map((tool) => [tool.name, tool]));
    this.recovery = new Recovery(join(settings.dataDir, "undo"));
    this.redaction = new Redaction(settings.redactPatterns);
    this.audit = new AuditLog(join(settings.dataDir, "logs", "audit.jsonl"), (text) => this.redaction.text(text));
    this.queue = new PQueue({ concurrency: settings.concurrentMax });
  }

  /** What may be called, in the catalogue's order. */
  list(): Tool[] {
    return [...this.byName.values()].filter((tool) => judgeTool(tool, this.settings).allowed);
  }

  /** Faults: `not-found`, `forbidden`, `invalid`, `exhausted`, `timeout`, `cancelled`, and whatever the engine says. */
  async call(name: string, args: Record<string, unknown>, caller: Caller): Promise<Answer> {
    const from = performance.now();
    const line = { who: caller.who, tool: name, args };
    // What has been done stays done when its end cannot be written down any more: its beginning was.
    const write = (decision: Decision, fault?: string) =>
      this.audit
        .write({ ...line, decision, ...(fault ? { fault } : {}), ms: performance.now() - from })
        .catch(() => undefined);
    let answer: Answer;
    try {
      const found = this.find(name);
      requireTool(found, this.settings);
      const begin = () => this.begin(found, { ...line, decision: "begun", ms: performance.now() - from });
      answer = await this.inTurn(found, args, { ...caller, begin });
    } catch (error) {
      const { kind } = Fault.from(error);
      await write(kind === "forbidden" ? "denied" : kind === "invalid" ? "refused" : "failed", kind);
      throw this.redaction.fault(error);
    }
    await write(answer.kind === "ask" ? "asked" : CONFIRMATION in args ? "confirmed" : "allowed");
    return answer;
  }

  /** A person has said no to the plan that the token stands for. */
  decline(token: string): void {
    this.confirmations.forget(token);
  }

  /** Nothing is changed that is not written down first. Faults: `exhausted`. */
  private async begin({ level }: Tool, entry: AuditEntry): Promise<void> {
    if (level === "safe") return;
    try {
      await this.audit.write(entry);
    } catch (cause) {
      throw new Fault("exhausted", "nothing was done: the audit log cannot be written", {
        hint: "Make room on the disk of the data directory, or give its logs folder back to this user.",
        cause,
      });
    }
  }

  /** The engine, connected once and again after it was lost. */
  engine(deadline: Deadline): Promise<Engine> {
    const connecting = (this.connected ??= Engine.connect(findEndpoint(this.env), Deadline.in(CONNECT_MS)));
    connecting.catch(() => {
      if (this.connected === connecting) this.connected = undefined;
    });
    return deadline.race("connecting to the container engine", connecting);
  }

  /** Loaded at the first use: most calls have nothing to do with the files of volumes. */
  private async volumes(): Promise<VolumeStore> {
    const { DockerRuntime } = await import("../runtime/docker/docker.ts");
    const options = { instance: "toolset0", dataDir: this.settings.dataDir, env: this.env };
    return (this.runtime ??= new DockerRuntime(options)).volumes;
  }

  private find(name: string): Tool {
    const found = this.byName.get(name);
    if (found) return found;
    const near = similar(
      name,
      this.list().map((one) => one.name),
    );
    throw new Fault(
      "not-found",
      `there is no tool ${name}`,
      near.length > 0 ? { hint: `Did you mean ${near.join(" or ")}?` } : {},
    );
  }

  private inTurn(found: Tool, args: Record<string, unknown>, caller: Beginner): Promise<Answer> {
    if (this.queue.size >= WAITING_MAX)
      throw new Fault("exhausted", `${WAITING_MAX} calls wait already`, { hint: "Try again when some have ended." });
    const ms = found.time === "quick" ? this.settings.quickMs : Math.max(TOOL_MS[found.time], this.settings.quickMs);
    const deadline = Deadline.in(ms, caller.signal);
    return deadline.race(
      found.name,
      this.queue.add(() => this.perform(found, args, caller, this.callFor(caller, deadline)), {
        signal: caller.signal,
      }),
    );
  }

  private callFor(caller: Caller, deadline: Deadline): ToolCall {
    return {
      engine: () => this.engine(deadline),
      deadline,
      signal: deadline.signal,
      report: (step) => caller.report({ ...step, text: this.redaction.text(step.text) }),
      settings: this.settings,
      env: this.env,
      volumes: () => this.volumes(),
      recovery: this.recovery,
      logins: this.logins,
    };
  }

  private async perform(
    found: Tool,
    args: Record<string, unknown>,
    { who, session = "", begin }: Beginner,
    call: ToolCall,
  ): Promise<Answer> {
    const { [CONFIRMATION]: token, ...rest } = args;
    const bound = found.bind(found.level === "destructive" ? rest : args);
    if (found.level === "destructive" && this.settings.confirmDestructive) {
      const plan = await this.planOf(found, bound.plan, call);
      const wish = { who: `${session} ${who}`, tool: found.name, args: rest, plan };
      const confirmed = typeof token === "string" && this.confirmations.redeem(token, wish);
      if (!confirmed && plan.objects.length > 0) return { kind: "ask", plan, token: this.confirmations.mint(wish) };
    }
    await begin();
    const { structured, text } = this.redaction.outcome(await bound.run(call));
    return { kind: "done", outcome: { structured: fit(structured, this.settings.responseBytesMax), text } };
  }

  private planOf(found: Tool, plan: ((call: ToolCall) => Promise<Plan>) | undefined, call: ToolCall): Promise<Plan> {
    // A test refuses a destructive tool without a plan; this is for one that comes from elsewhere.
    if (!plan) throw new Fault("internal", `${found.name} is destructive and has no plan`);
    return plan(call);
  }
}
