/**
 * The one way of every call, whoever makes it: find, gate, parse, confirm, run, bound, write down.
 */
import { join } from "node:path";
import PQueue from "p-queue";
import type { ServersDoor } from "../api/client/door.ts";
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type Log, SILENT } from "../base/log.ts";
import { similar } from "../base/similar.ts";
import { type Environment, findEndpoint } from "../docker/endpoint.ts";
import { Engine } from "../docker/engine.ts";
import type { DockerRuntime } from "../runtime/docker/docker.ts";
import type { VolumeStore } from "../runtime/volume-store.ts";
import type { Decision } from "../safety/audit.ts";
import { Gate, type Wish } from "../safety/gate.ts";
import { judgeTool, requireTool } from "../safety/policy.ts";
import { withoutSafety } from "../safety/settings.ts";
import { Owners } from "./belongings.ts";
import { Confirmations } from "./confirm.ts";
import { bounded, clip } from "./output.ts";
import { withNext } from "./hints.ts";
import { Recovery } from "./recovery.ts";
import { findResource } from "./resources/serve.ts";
import { Watches } from "./resources/watches.ts";
import type { Settings } from "./settings.ts";
import { type Outcome, type Plan, type Step, type Tool, TOOL_MS, type ToolCall } from "./tool.ts";

const CONNECT_MS = 10_000;
/** It may have to be started. */
const MANAGER_MS = 15_000;
/** Calls that wait for their turn; more are refused. */
const WAITING_MAX = 1_000;
/** For what a call that is over still has to do: ending what it has begun. */
const END_MS = 6_000;
/** The argument with which a destructive call is made for good. */
export const CONFIRMATION = "confirmation_token";

export interface Caller {
  /** For the audit log: the client's name and version. */
  who: string;
  /** Whose confirmations, logins and created servers hold for it: a session's, or a client's; of a process with one client empty. */
  owner?: string | undefined;
  signal: AbortSignal;
  report(step: Step): void;
}

/** `begin`: the last thing before something changes. */
interface Beginner extends Caller {
  begin(): Promise<void>;
}

/** `ask`: nothing was done yet; the same call with this token does it. `again`: the token that it had is not for that. */
export type Answer = { kind: "done"; outcome: Outcome } | { kind: "ask"; plan: Plan; token: string; again: boolean };

export class Toolset {
  readonly recovery: Recovery;
  /** What clients have subscribed to. */
  readonly watches: Watches;
  private readonly byName: ReadonlyMap<string, Tool>;
  private readonly confirmations = new Confirmations();
  private readonly owners: Owners;
  private readonly gate: Gate;
  private readonly queue: PQueue;
  private readonly underWay = new Set<Promise<unknown>>();
  private connected: Promise<Engine> | undefined;
  private runtime: DockerRuntime | undefined;

  constructor(
    tools: readonly Tool[],
    readonly settings: Settings,
    private readonly env: Environment,
    log: Log = SILENT,
    /** Where servers are managed: in this process where that is the manager, else over its socket. */
    private readonly servers: (deadline: Deadline) => Promise<ServersDoor> = (deadline) => managerDoor(env, deadline),
  ) {
    this.byName = new Map(tools.map((tool) => [tool.name, tool]));
    this.recovery = new Recovery(join(settings.dataDir, "undo"));
    this.gate = new Gate(settings, settings.dataDir, log);
    this.owners = new Owners(async () => {
      const { Workshop } = await import("../create/workshop.ts");
      return new Workshop(settings.dataDir, withoutSafety(env));
    });
    this.queue = new PQueue({ concurrency: settings.concurrentMax });
    this.watches = new Watches((uri, signal, changed) => {
      const { resource, variables } = findResource(uri, this);
      return resource.watch(variables, { call: this.glance(signal), signal, changed });
    });
  }

  /** Whether it is about an engine's containers, as prompts and resources are. */
  get ofEngine(): boolean {
    return this.tools.some(({ category }) => category === "containers");
  }

  /** All of them, allowed or not. */
  get tools(): Tool[] {
    return [...this.byName.values()];
  }

  /** What may be called, in the catalogue's order. */
  list(): Tool[] {
    return this.tools.filter((tool) => judgeTool(tool, this.settings).allowed);
  }

  /** Faults: `not-found`, `forbidden`, `invalid`, `exhausted`, `timeout`, `cancelled`, and whatever the engine says. */
  async call(name: string, args: Record<string, unknown>, caller: Caller): Promise<Answer> {
    const wish = { who: caller.who, tool: name, args };
    const from = performance.now();
    const work = () => {
      const found = this.find(name);
      requireTool(found, this.settings);
      const begin = () => this.gate.begin(found, wish, performance.now() - from);
      return this.inTurn(found, args, { ...caller, begin });
    };
    return this.written(wish, work, ({ kind }) =>
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
      const text = this.gate.redaction.text(await this.queued(name, call, () => run(found, call)));
      return clip(text, this.settings.responseBytesMax);
    };
    return this.written({ who, tool: name, args }, work, () => "allowed");
  }

  /** What goes wrong tells no more than what goes well. */
  private async written<T>(wish: Wish, work: () => Promise<T>, decide: (result: T) => Decision): Promise<T> {
    try {
      return await this.gate.written(wish, work, decide);
    } catch (error) {
      const fault = this.gate.redaction.fault(error);
      throw this.ofEngine ? withNext(fault) : fault;
    }
  }

  /** For a short look at the engine that nobody has to be told of. */
  glance(signal: AbortSignal): ToolCall {
    return this.callFor({ report: () => {} }, Deadline.in(this.settings.quickMs, signal));
  }

  /** A client has ended its session: what was its own ends with it. Never throws. */
  leave(owner: string): Promise<void> {
    return this.owners.leave(owner);
  }

  /** A person has said no to the plan that the token stands for. */
  decline(token: string): void {
    this.confirmations.forget(token);
  }

  /** Ends the servers that were created, and waits for the ends of what was cancelled. Never throws. */
  async close(): Promise<void> {
    await Promise.all([this.owners.close(), Promise.allSettled(this.underWay)]);
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

  private async queued<T>(name: string, { deadline, signal }: ToolCall, work: () => Promise<T>): Promise<T> {
    if (this.queue.size >= WAITING_MAX)
      throw new Fault("exhausted", `${WAITING_MAX} calls wait already`, { hint: "Try again when some have ended." });
    let begun: Promise<T> | undefined;
    const turn = this.queue.add(() => (begun = this.tracked(work())), { signal });
    try {
      return await deadline.race(name, turn);
    } catch (error) {
      if (!begun || !deadline.passed) throw error;
      // What it has begun it ends on the engine, too; whether that was possible is its to say.
      const last = await Promise.race([begun.then(() => error, Fault.from), Bun.sleep(END_MS)]);
      throw last instanceof Fault && (last.kind === "timeout" || last.kind === "cancelled") ? last : error;
    }
  }

  private tracked<T>(work: Promise<T>): Promise<T> {
    const forget = () => void this.underWay.delete(work);
    this.underWay.add(work);
    work.then(forget, forget);
    return work;
  }

  private callFor({ owner = "", report }: Pick<Caller, "owner" | "report">, deadline: Deadline): ToolCall {
    return {
      engine: () => this.engine(deadline),
      deadline,
      signal: deadline.signal,
      report: (step) => report({ ...step, text: this.gate.redaction.text(step.text) }),
      settings: this.settings,
      env: this.env,
      volumes: () => this.volumes(),
      recovery: this.recovery,
      logins: () => this.owners.of(owner).logins,
      servers: () => this.servers(deadline),
      created: () => this.owners.of(owner).created(),
    };
  }

  private async perform(
    found: Tool,
    args: Record<string, unknown>,
    { who, owner = "", begin }: Beginner,
    call: ToolCall,
  ): Promise<Answer> {
    const { [CONFIRMATION]: token, ...rest } = args;
    const bound = found.bind(found.level === "destructive" ? rest : args);
    let confirmed: Plan | undefined;
    if (found.level === "destructive" && this.settings.confirmDestructive) {
      const plan = await this.planOf(found, bound.plan, call);
      const wish = { who: `${owner} ${who}`, tool: found.name, args: rest, plan };
      const agreed = typeof token === "string" && this.confirmations.redeem(token, wish);
      if (!agreed && plan.objects.length > 0)
        return { kind: "ask", plan, token: this.confirmations.mint(wish), again: token !== undefined };
      confirmed = plan;
    }
    await begin();
    const outcome = this.gate.redaction.outcome(await bound.run(confirmed ? { ...call, confirmed } : call));
    return { kind: "done", outcome: bounded(outcome, this.settings.responseBytesMax, bound.say) };
  }

  private planOf(found: Tool, plan: ((call: ToolCall) => Promise<Plan>) | undefined, call: ToolCall): Promise<Plan> {
    // A test refuses a destructive tool without a plan; this is for one that comes from elsewhere.
    if (!plan) throw new Fault("internal", `${found.name} is destructive and has no plan`);
    return plan(call);
  }
}

/** The manager of this data directory, or the one that LINKSPAN_URL names. */
async function managerDoor(env: Environment, deadline: Deadline): Promise<ServersDoor> {
  // Loaded at the first use: most toolsets have nothing to do with servers.
  const { connectManager } = await import("../api/client/connect.ts");
  return await connectManager({ env: withoutSafety(env), deadline: deadline.within(MANAGER_MS) });
}
