/**
 * The conversation with one legacy client, from `initialize` on, whatever carries it: messages come in with `receive`,
 * and go out through the outlet. What the client asks becomes exchanges with the upstream; what it is asked, it is asked
 * with ids of ours (questions.ts); what it listens to, it is told (listens.ts).
 */
import * as v from "valibot";
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import {
  type Attachment,
  type Client,
  type Description,
  type Exchange,
  type Note,
  type Reply,
  RpcFault,
  type Upstream,
} from "../exchange.ts";
import { initializeResult, legacyError, legacyResult, legacyVersion, type Wrapped } from "../translate.ts";
import { legacyCapabilities } from "./capabilities.ts";
import {
  CODE,
  errorText,
  type Id,
  isRecord,
  type Message,
  noteText,
  record,
  recordOf,
  type Request,
  resultText,
  rpcErrorOf,
} from "./message.ts";
import { clientInfo, isWanted, type Level, level, progressToken, withoutLegMeta } from "./meta.ts";
import { Listens } from "./listens.ts";
import { logTo, progressTo } from "./notices.ts";
import type { Outgoing, Outlet } from "./outlet.ts";
import { Questions } from "./questions.ts";

/** Requests of one client at the same time. */
const IN_FLIGHT_MAX = 64;
/** A server may have to be fetched before it can be described. */
const DESCRIBE_MS = 600_000;
/** Methods of the modern era. */
const MODERN = new Set(["server/discover", "subscriptions/listen"]);
/** Carried through to a process of the client's own only (docs/eras.md). */
const TASKS = "tasks/";

const initializeParams = v.object({
  protocolVersion: v.string(),
  capabilities: v.optional(record, {}),
  clientInfo: v.optional(clientInfo),
});
const levelParams = v.object({ level });
const uriParams = v.object({ uri: v.string() });
const cancelledParams = v.object({ requestId: v.union([v.string(), v.number()]), reason: v.optional(v.string()) });

export interface LegacyOptions {
  upstream: Upstream;
  principal: string;
  outlet: Outlet;
}

/** After `initialize`. */
interface Session {
  client: Client;
  attachment: Attachment;
  description: Description;
  listens: Listens;
}

export class LegacyConversation {
  private readonly questions: Questions;
  private readonly inFlight = new Map<Id, AbortController>();
  private readonly gone = new AbortController();
  private readonly wrapped: Wrapped = new Set();
  private initializing: Promise<Session> | undefined;
  private session: Session | undefined;
  private agreed: string | undefined;
  private level: Level | undefined;

  constructor(private readonly options: LegacyOptions) {
    this.questions = new Questions(options.outlet);
  }

  /** The protocol version; undefined before `initialize` was answered. */
  get version(): string | undefined {
    return this.session && this.agreed;
  }

  /** Only one version has batches, and then only after the handshake. */
  get batches(): boolean {
    return this.version === "2025-03-26";
  }

  /** Requests without an answer. */
  get pending(): number {
    return this.inFlight.size;
  }

  receive(message: Message): void {
    switch (message.kind) {
      case "request":
        return this.request(message);
      case "notification":
        return this.notified(message);
      case "response":
        return this.questions.answered(message);
      case "broken":
        return this.options.outlet.send({
          text: errorText(message.id, message.error),
          about: message.id ?? undefined,
          kind: "answer",
        });
    }
  }

  /** The client is gone: what it has asked is cancelled. Idempotent. */
  async close(): Promise<void> {
    this.gone.abort();
    this.questions.close();
    for (const abort of this.inFlight.values()) abort.abort();
    const session = await this.initializing?.catch(() => undefined);
    session?.listens.close();
    await session?.attachment.close().catch(() => {});
  }

  private request(request: Request): void {
    const { id } = request;
    // Which of them an answer is for could not be told.
    if (this.inFlight.has(id)) return this.error(id, new RpcFault(refusal(CODE.invalidRequest, "the id is in use")));
    if (this.inFlight.size >= IN_FLIGHT_MAX) {
      return this.error(id, new Fault("exhausted", `${IN_FLIGHT_MAX} requests of this client are in flight already`));
    }
    const abort = new AbortController();
    this.inFlight.set(id, abort);
    this.answer(request, abort.signal).then(
      (text) => this.settle(id, abort, () => this.send(resultText(id, text), id, "answer")),
      (error) => this.settle(id, abort, () => this.error(id, error)),
    );
  }

  private settle(id: Id, abort: AbortController, answer: () => void): void {
    if (this.inFlight.get(id) !== abort) return;
    this.inFlight.delete(id);
    if (!this.gone.signal.aborted) answer();
  }

  /** The result as JSON text. */
  private async answer(request: Request, signal: AbortSignal): Promise<string> {
    const { method, params } = request;
    if (method === "ping") return "{}";
    if (method === "initialize") return await this.initialize(request);
    // Who writes it all into a pipe does not wait for the answer to `initialize`.
    const session = this.session ?? (await this.initializing?.catch(() => undefined));
    if (!session) throw new RpcFault(refusal(CODE.invalidRequest, "initialize comes first"));
    const own = session.description.era === "legacy";
    if (MODERN.has(method) || (method.startsWith(TASKS) && !own)) throw unknown(method);
    if (method === "logging/setLevel") return await this.setLevel(session, request, signal);
    if (method === "resources/subscribe" || method === "resources/unsubscribe") {
      const { resources } = session.description.capabilities;
      if (!isRecord(resources) || resources.subscribe !== true) throw unknown(method);
      const { uri } = read(uriParams, params);
      if (method === "resources/subscribe") await session.listens.subscribe(uri, signal);
      else session.listens.unsubscribe(uri);
      return "{}";
    }
    // The names in it count for the whole list.
    if (method === "tools/list" && params.cursor === undefined) this.wrapped.clear();
    const reply = await session.attachment.request(this.exchange(session, request, signal));
    return this.resultOf(request, reply);
  }

  private exchange(session: Session, { id, method, params }: Request, signal: AbortSignal): Exchange {
    const emit = (text: string) => {
      if (this.inFlight.has(id)) this.send(text, id, "note");
    };
    const { capabilities } = session.client;
    return {
      method,
      params: withoutLegMeta(params),
      signal,
      capabilities,
      ...progressTo(progressToken(params), emit),
      ...logTo(this.level, emit),
      ask: (question, takenBack) =>
        this.questions.ask(question, capabilities, id, AbortSignal.any([signal, takenBack])),
      rounds: false,
    };
  }

  private resultOf({ method, params }: Request, reply: Reply): string {
    if (reply.kind === "result") {
      if (reply.era === "legacy") return reply.result.text;
      return JSON.stringify(legacyResult(method, recordOf(reply.result), params, this.wrapped));
    }
    if (reply.kind === "input-required") throw new Fault("internal", "a round was given to a client that knows none");
    const error = legacyError(method, reply.error, params);
    if ("result" in error) return JSON.stringify(error.result);
    throw new RpcFault(error);
  }

  private async initialize({ params }: Request): Promise<string> {
    if (this.initializing) throw new RpcFault(refusal(CODE.invalidRequest, "the session is initialized already"));
    const asked = read(initializeParams, params);
    const version = (this.agreed = legacyVersion(asked.protocolVersion));
    const capabilities = legacyCapabilities(asked.capabilities, version);
    try {
      const session = await (this.initializing = this.open({ info: asked.clientInfo, capabilities }));
      this.session = session;
      return JSON.stringify(initializeResult(session.description, version));
    } catch (error) {
      // The client may try again, as it would with a server that has refused it.
      this.initializing = undefined;
      throw error;
    }
  }

  private async open(declared: Pick<Client, "info" | "capabilities">): Promise<Session> {
    const { upstream, principal } = this.options;
    const client: Client = {
      era: "legacy",
      principal,
      ...declared,
      ask: (question, signal) => this.questions.ask(question, declared.capabilities, undefined, signal),
      tell: (note) => this.tell(note),
    };
    const attachment = upstream.attach(client);
    try {
      const description = await attachment.describe(Deadline.in(DESCRIBE_MS, this.gone.signal));
      const listens = new Listens(attachment, (note) => this.send(noteText(note), undefined, "note"));
      return { client, attachment, description, listens };
    } catch (error) {
      await attachment.close().catch(() => {});
      throw error;
    }
  }

  /** What belongs to no request. */
  private tell(note: Note): void {
    if (note.method === "notifications/message" && this.level && !isWanted(note.params.level, this.level)) return;
    this.send(noteText(note), undefined, "note");
  }

  /** Each request carries it from now on; a legacy server is told at once, because it says things outside requests, too. */
  private async setLevel(session: Session, request: Request, signal: AbortSignal): Promise<string> {
    const { era, capabilities } = session.description;
    if (!isRecord(capabilities.logging)) throw unknown(request.method);
    this.level = read(levelParams, request.params).level;
    const { log: _, ...exchange } = this.exchange(session, request, signal);
    if (era === "legacy") await session.attachment.request(exchange);
    return "{}";
  }

  private notified({ method, params }: Note): void {
    if (method === "notifications/cancelled") return this.cancelled(params);
    if (method === "notifications/initialized") {
      const begin = ({ listens, description }: Session) => listens.begin(description.capabilities);
      return void this.initializing?.then(begin, () => {});
    }
    if (method === "notifications/roots/list_changed") this.session?.attachment.notify({ method, params });
  }

  private cancelled(params: Note["params"]): void {
    const asked = v.safeParse(cancelledParams, params);
    const abort = asked.success ? this.inFlight.get(asked.output.requestId) : undefined;
    if (!asked.success || !abort) return;
    // The handshake must not be cancelled (MCP, "cancellation").
    if (!this.session) return;
    const { requestId } = asked.output;
    this.inFlight.delete(requestId);
    abort.abort();
    this.options.outlet.unanswered(requestId);
  }

  private error(id: Id, error: unknown): void {
    this.send(errorText(id, rpcErrorOf(error)), id, "answer");
  }

  private send(text: string, about: Id | undefined, kind: Outgoing["kind"]): void {
    if (!this.gone.signal.aborted) this.options.outlet.send({ text, about, kind });
  }
}

function read<S extends v.GenericSchema>(schema: S, params: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, params);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new RpcFault(refusal(CODE.invalidParams, `params are invalid at ${v.getDotPath(issue) ?? "their top level"}`));
}

function refusal(code: number, message: string) {
  return { code, message };
}

function unknown(method: string): RpcFault {
  return new RpcFault(refusal(CODE.methodNotFound, `Method not found: ${method}`));
}
