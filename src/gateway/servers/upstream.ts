/**
 * One server as an upstream: clients of both eras in front, a server of either behind.
 *
 * | client | server | what serves it                                                                          |
 * | ------ | ------ | --------------------------------------------------------------------------------------- |
 * | legacy | legacy | a process of its own, opened with its own capabilities (a pool of one)                  |
 * | modern | modern | the one process that its principal has (home.ts)                                        |
 * | legacy | modern | the same one; questions are put to the client between the rounds                        |
 * | modern | legacy | processes of its principal and profile, where a call that can be asked has one to itself |
 */
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { START_MS } from "../../model/rest.ts";
import {
  type Attachment,
  type Client,
  type Description,
  type Era,
  type Exchange,
  type Filter,
  Json,
  type Note,
  type Params,
  type Reply,
  type Upstream,
} from "../exchange.ts";
import { Eras, type Process, Stale } from "./eras.ts";
import { heeding } from "../heeding.ts";
import type { LegacyRole } from "./legacy.ts";
import type { Lines } from "./lines.ts";
import { Listeners } from "./listeners.ts";
import { Pool } from "./pool.ts";
import { Premises } from "./premises.ts";
import { profileOf } from "./questions.ts";
import { Verdicts } from "./verdicts.ts";

export interface ServerOptions {
  /** Lines to a fresh process of the server: a session, or the end of a pair. Called again whenever one is needed. */
  open(deadline: Deadline): Promise<Lines>;
  /** What the server is made from, as far as it can matter (spec hash and image); always the same when absent. */
  identity?(): string;
  /** Shared by upstreams that come and go; their own when absent. */
  verdicts?: Verdicts;
  /** What the operator says of the server; found out when absent. */
  era?: Era | "auto";
  /** The bridge gives all sessions one process (session policy `shared`). */
  shared?: boolean;
  /** A server that answers nothing for so long is asked in the other era, too; 3 s when absent. */
  silentMs?: number;
  /** Processes that are no client's own are closed when nobody has used them for so long; 5 min when absent. */
  idleMs?: number;
  /** A legacy client without a request for so long holds no process, though it listens; the next request starts one. */
  sessionIdleMs?: number | undefined;
  /** Ends every process that is no client's own, and none is opened afterwards. */
  signal?: AbortSignal;
}

/** Requests that both eras have, and that are translated. Others pass only where client and server speak the same era. */
const COMMON: ReadonlySet<string> = new Set([
  "tools/list",
  "tools/call",
  "prompts/list",
  "prompts/get",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "completion/complete",
]);
/** A legacy server may ask something during these. */
const ASKING: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"]);
const SILENT_MS = 3_000;
const IDLE_MS = 300_000;
/** Notes that come right behind the answer to a listen, before the listener knows that it is one. */
const EARLY_NOTES_MAX = 256;

export function serverUpstream(options: ServerOptions): Upstream {
  const eras = new Eras({
    open: options.open,
    identity: options.identity ?? (() => ""),
    verdicts: options.verdicts ?? new Verdicts(),
    era: options.era ?? "auto",
    shared: options.shared ?? false,
    startMs: START_MS,
    silentMs: options.silentMs ?? SILENT_MS,
  });
  const { sessionIdleMs = Infinity } = options;
  const idle = { idleMs: options.idleMs ?? IDLE_MS, sessionIdleMs };
  const premises = new Premises(eras, idle);
  options.signal?.addEventListener("abort", () => premises.close(), { once: true });
  return { attach: (client) => new ServerAttachment(client, eras, premises) };
}

class ServerAttachment implements Attachment {
  /** The client's own process, where it is a legacy one. */
  private readonly own: Pool | undefined;
  private readonly role: LegacyRole;
  /** What a legacy client has set, for servers that want to hear it with each request, and for processes to come. */
  private level: string | undefined;
  private readonly gone = new AbortController();

  constructor(
    private readonly client: Client,
    private readonly eras: Eras,
    private readonly premises: Premises,
  ) {
    if (client.era === "modern") {
      this.role = premises.role(client.principal, client.capabilities);
      return;
    }
    const listeners = new Listeners();
    this.role = { capabilities: client.capabilities, client, listeners };
    const start = async () => {
      const process = await eras.start("legacy", this.role);
      if (this.level !== undefined) await process.setLevel(this.level);
      return process;
    };
    this.own = new Pool({ start, listeners, max: 1, idleMs: premises.idle.sessionIdleMs, heedsListeners: false });
  }

  async describe(deadline: Deadline): Promise<Description> {
    const living = this.own?.process?.description;
    if (living) return living;
    return await deadline.race(
      "the start of the server",
      this.routed(this.gone.signal, async (era) => {
        const known = this.eras.description(era);
        if (known) return known;
        if (era === "modern")
          return (await this.premises.home(this.client.principal).ready(this.gone.signal)).description;
        return (await this.pool(this.client.capabilities).shared(this.gone.signal)).description;
      }),
    );
  }

  async request(exchange: Exchange): Promise<Reply> {
    const { method, signal } = exchange;
    if (method === "ping") return { kind: "result", era: this.client.era, result: Json.of({}) };
    if (method === "logging/setLevel" && this.client.era === "legacy") return await this.setLevel(exchange);
    return await this.routed(signal, async (era) => {
      if (era !== this.client.era && !COMMON.has(method)) {
        const message = `${method} cannot be translated between the eras of this client and the server`;
        return { kind: "error", error: { code: -32601, message } };
      }
      if (era === "modern") {
        return await this.premises.home(this.client.principal).request(this.withLevel(exchange), this.client);
      }
      return await this.pool(exchange.capabilities).request(exchange, this.exclusive(exchange));
    });
  }

  notify({ method, params }: Note): void {
    // Modern servers, and those of a pool, have been told of no roots that change.
    if (method === "notifications/roots/list_changed") this.own?.process?.notify(method, params);
  }

  async listen(filter: Filter, hear: (note: Note) => void, signal: AbortSignal, ended: () => void): Promise<Filter> {
    const { client } = this;
    const until = AbortSignal.any([signal, this.gone.signal]);
    const gate = new Gate(hear);
    const granted = await this.routed(until, (era) => {
      const heard = (note: Note) => gate.hear(note);
      if (era === "modern") return this.premises.home(client.principal).listen(filter, client, heard, until, ended);
      return this.pool(client.capabilities).listen(filter, heard, until, client.era === "modern" ? ended : undefined);
    });
    setImmediate(() => gate.open());
    return granted;
  }

  async close(): Promise<void> {
    this.gone.abort();
    this.own?.close();
  }

  /** What was found out may turn out not to be so any more; nothing has been sent then, and it is done once more. */
  private async routed<T>(signal: AbortSignal, use: (era: Era) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      if (this.gone.signal.aborted) throw new Fault("cancelled", "the client has gone");
      try {
        return await use(this.eras.for(this.client.era) ?? (await this.find(signal)));
      } catch (error) {
        if (!(error instanceof Stale)) throw error;
        if (attempt > 0) throw error.fault;
      }
    }
  }

  private async find(signal: AbortSignal): Promise<Era> {
    const adopting = this.eras.find(this.client.era, this.role).then(async (process) => {
      if (process && this.level !== undefined && process.era === "legacy") await process.setLevel(this.level);
      if (process) this.adopt(process);
    });
    await heeding(signal, adopting);
    const era = this.eras.for(this.client.era);
    if (!era) throw new Fault("server-failed", "the server does not stay in one era of MCP");
    return era;
  }

  private adopt(process: Process): void {
    if (process.era === "modern") this.premises.home(this.client.principal).adopt(process);
    else this.pool(this.client.capabilities).adopt(process);
  }

  private pool(capabilities: Params): Pool {
    return this.own ?? this.premises.pool(this.client.principal, capabilities);
  }

  private exclusive({ method, capabilities, log, ask }: Exchange): "needed" | "wanted" | "no" {
    if (this.own) return "no";
    if (ask && ASKING.has(method) && Object.keys(profileOf(capabilities)).length > 0) return "needed";
    return log ? "wanted" : "no";
  }

  private async setLevel({ params }: Exchange): Promise<Reply> {
    if (typeof params.level === "string") {
      this.level = params.level;
      await this.own?.process?.setLevel(this.level);
    }
    return { kind: "result", era: "legacy", result: Json.of({}) };
  }

  private withLevel(exchange: Exchange): Exchange {
    const { level, client } = this;
    if (exchange.log || level === undefined || !client.tell) return exchange;
    const tell = (params: Params) => client.tell?.({ method: "notifications/message", params });
    return { ...exchange, log: { level, tell } };
  }
}

/** Holds back what a listener would hear before it knows what it was granted. */
class Gate {
  private early: Note[] | undefined = [];

  constructor(private readonly to: (note: Note) => void) {}

  hear(note: Note): void {
    if (!this.early) this.to(note);
    else if (this.early.length < EARLY_NOTES_MAX) this.early.push(note);
  }

  open(): void {
    const early = this.early ?? [];
    this.early = undefined;
    for (const note of early) this.to(note);
  }
}
