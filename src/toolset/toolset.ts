/**
 * The one way of every call, whoever makes it: find, gate, parse, confirm, run, bound, write down.
 */
import { join } from "node:path";
import PQueue from "p-queue";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type Log, SILENT } from "../base/log.ts";
import { similar } from "../base/similar.ts";
import type { Workshop } from "../create/workshop.ts";
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
import { findResource } from "./resources/serve.ts";
import { Watches } from "./resources/watches.ts";
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
  /** What clients have subscribed to. */
  readonly watches: Watches;
  private readonly byName: ReadonlyMap<string, Tool>;
  private readonly confirmations = new Confirmations();
  private readonly redaction: Redaction;
  private readonly logins = new Logins();
  private readonly audit: AuditLog;
  private readonly queue: PQueue;
  private connected: Promise<Engine> | undefined;
  private workshop: Promise<Workshop> | undefined;
  private runtime: DockerRuntime | undefined;

  constructor(
    tools: readonly Tool[],
    readonly settings: Settings,
    private readonly env: Environment,
    private readonly log: Log = SILENT,
  ) {
    this.byName = new Map(tools.map((tool) => [tool.name, tool]));
    this.recovery = new Recovery(join(settings.dataDir, "undo"));
    this.redaction = new Redaction(settings.redactPatterns);
    this.audit = new AuditLog(join(settings.dataDir, "logs", "audit.jsonl"), (text) => this.redaction.text(text));
    this.queue = new PQueue({ concurrency: settings.concurrentMax });
    this.watches = new Watches((uri, signal, changed) => {
      const { resource, variables } = findResource(uri, this);
      return resource.watch(variables, { call: this.glance(signal), signal, changed });
    });
  }

  /** What may be called, in the catalogue's order. */
  list(): Tool[] {
    return [...this.byName.values()].filter((tool) => judgeTool(tool, this.settings).allowed);
  }

  /** Faults: `not-found`, `forbidden`, `invalid`, `exhausted`, `timeout`, `cancelled`, and whatever the engine says. */
  async call(name: string, args: Record<string, unknown>, caller: Caller): Promise<Answer> {
    const line = { who: caller.who, tool: name, args };
    const from = performance.now();
    const work = () => {
      const found = this.find(name);
      requireTool(found, this.settings);
      const begin = () => this.begin(found, { ...line, decision: "begun", ms: performance.now() - from });
      return this.inTurn(found, args, { ...caller, begin });
    };
    return this.written(line, work, ({ kind }) =>
      kind === "ask" ? "asked" : CONFIRMATION in args ? "confirmed" : "allowed",
    );
  }

  /**
   * For prompts and resources: in turn with the tools, in the time of a quick one, and written down like one. `find` also
   * decides whether it is allowed.
   */
  async look<F>(
    name: string,
    args: Record<string, unknown>,
    { who, signal }: Omit<Caller, "report">,
    find: () => F,
    run: (found: F, call: ToolCall) => Promise<string>,
  ): Promise<string> {
    const work = async () => {
      const found = find();
      const call = this.glance(signal);
      return this.redaction.text(await this.queued(name, call, () => run(found, call)));
    };
    return this.written({ who, tool: name, args }, work, () => "allowed");
  }

  /** In the audit log, however it ends. What has been done stays done when its end cannot be written: its beginning was. */
  private async written<T>(
    line: Pick<AuditEntry, "who" | "tool" | "args">,
    work: () => Promise<T>,
    decide: (result: T) => Decision,
  ): Promise<T> {
    const from = performance.now();
    const write = async (decision: Decision, fault?: Fault) => {
      const ms = performance.now() - from;
      this.log.debug(line.tool, { decision, ms: Math.round(ms), fault: fault?.kind });
      await this.audit.write({ ...line, decision, ms, ...(fault ? { fault: fault.kind } : {}) }).catch(() => undefined);
    };
    let result: T;
    try {
      result = await work();
    } catch (error) {
      const fault = this.redaction.fault(error);
      if (fault.kind === "internal") this.log.error(line.tool, { reason: fault.message });
      await write(fault.kind === "forbidden" ? "denied" : fault.kind === "invalid" ? "refused" : "failed", fault);
      throw fault;
    }
    await write(decide(result));
    return result;
  }

  /** For a short look at the engine that nobody has to be told of. */
  glance(signal: AbortSignal): ToolCall {
    return this.callFor({ report: () => {} }, Deadline.in(this.settings.quickMs, signal));
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

  /** Ends the servers that were created. Never throws. */
  async close(): Promise<void> {
    await (await this.workshop)?.close();
  }

  /** The engine, connected once and again after it was lost. */
  engine(deadline: Deadline): Promise<Engine> {
    const connecting = (this.connected ??= this.connect());
    connecting.catch(() => {
      if (this.connected === connecting) this.connected = undefined;
    });
    return deadline.race("connecting to the container engine", connecting);
  }

  private connect(): Promise<Engine> {
    const { engineMs } = this.settings;
    return Engine.connect(findEndpoint(this.env), Deadline.in(engineMs ?? CONNECT_MS), engineMs);
  }

  /** Loaded at the first use: most calls have nothing to do with the files of volumes. */
  private async volumes(): Promise<VolumeStore> {
    const { DockerRuntime } = await import("../runtime/docker/docker.ts");
    const options = { instance: "toolset0", dataDir: this.settings.dataDir, env: this.env };
    return (this.runtime ??= new DockerRuntime(options)).volumes;
  }

  /** Loaded at the first use, as it brings an MCP client. */
  private created(): Promise<Workshop> {
    const { settings, env } = this;
    const load = async () => new (await import("../create/workshop.ts")).Workshop(settings.dataDir, env);
    return (this.workshop ??= load());
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
    const ms = found.time === "quick" ? this.settings.quickMs : Math.max(TOOL_MS[found.time], this.settings.quickMs);
    const call = this.callFor(caller, Deadline.in(ms, caller.signal));
    return this.queued(found.name, call, () => this.perform(found, args, caller, call));
  }

  private queued<T>(name: string, { deadline, signal }: ToolCall, work: () => Promise<T>): Promise<T> {
    if (this.queue.size >= WAITING_MAX)
      throw new Fault("exhausted", `${WAITING_MAX} calls wait already`, { hint: "Try again when some have ended." });
    return deadline.race(name, this.queue.add(work, { signal }));
  }

  private callFor(caller: Pick<Caller, "report">, deadline: Deadline): ToolCall {
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
      created: () => this.created(),
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
    const outcome = this.redaction.outcome(await bound.run(call));
    const structured = fit(outcome.structured, this.settings.responseBytesMax);
    return { kind: "done", outcome: { ...outcome, structured } };
  }

  private planOf(found: Tool, plan: ((call: ToolCall) => Promise<Plan>) | undefined, call: ToolCall): Promise<Plan> {
    // A test refuses a destructive tool without a plan; this is for one that comes from elsewhere.
    if (!plan) throw new Fault("internal", `${found.name} is destructive and has no plan`);
    return plan(call);
  }
}
