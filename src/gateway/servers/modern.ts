/**
 * A server process that was opened with `server/discover`. Requests of unrelated clients may meet on it: each one says who
 * asks, and what it can do. A question of the server is the end of the call, which is sent again with the answers.
 */
import { missingCapability } from "../clients/capabilities.ts";
import { META } from "../clients/meta.ts";
import * as v from "valibot";
import { type Deadline, sleep } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import {
  type Client,
  type Description,
  type Exchange,
  type Filter,
  type Note,
  type Params,
  type Reply,
  RpcFault,
} from "../exchange.ts";
import { Conversation } from "./conversation.ts";
import { discover, envelope } from "./handshake.ts";
import type { Lines } from "./lines.ts";
import { member, type QuestionId } from "./message.ts";
import { errorOf, profileOf } from "./questions.ts";
import { answersTo, askedBy, failed, replyOf, rising, undeclared, withAnswers } from "./rounds.ts";

/** Rounds of questions of one call, where we put them. */
const ROUNDS_MAX = 8;
/** A server that asks for nothing, but for the call once more. */
const AGAIN_MS = 250;
const ACKNOWLEDGE_MS = 60_000;

const filter = v.object({
  toolsListChanged: v.optional(v.boolean()),
  promptsListChanged: v.optional(v.boolean()),
  resourcesListChanged: v.optional(v.boolean()),
  resourceSubscriptions: v.optional(v.array(v.string())),
});

interface Listen {
  patient: boolean;
  hear(note: Note): void;
  acknowledged(granted: Filter): void;
}

export class ModernProcess {
  readonly era = "modern";
  /** Called once, when the process has ended. */
  onEnded: (fault: Fault) => void = () => {};
  private known: Description | undefined;
  private readonly conversation: Conversation;
  private readonly listens = new Map<number, Listen>();
  /** Requests that may be told log messages: nothing on the wire says whose one is. */
  private readonly loggers = new Map<Exchange, Client>();

  private constructor(lines: Lines) {
    this.conversation = new Conversation(lines, {
      question: (id, method) => this.question(id, method),
      note: (method, params) => this.note(method, params),
      ended: (fault) => this.onEnded(fault),
    });
  }

  /** Throws `Refused`, `Spoiled`; faults: `timeout`, those of the bridge. The lines are closed then. */
  static async open(lines: Lines, patienceMs: number, deadline: Deadline): Promise<ModernProcess> {
    const process = new ModernProcess(lines);
    try {
      process.known = await discover(process.conversation, patienceMs, deadline);
      return process;
    } catch (error) {
      process.close();
      throw error;
    }
  }

  get description(): Description {
    if (!this.known) throw new Fault("internal", "the server is used before its handshake");
    return this.known;
  }

  get over(): Fault | undefined {
    return this.conversation.over;
  }

  /** Requests, without those of listeners. */
  get inFlight(): number {
    return this.conversation.inFlight;
  }

  /** `patient`: legacy clients that listen to lists only, which can be told later that they may have missed something. */
  get audience(): "nobody" | "patient" | "attentive" {
    if (this.listens.size === 0) return "nobody";
    return [...this.listens.values()].every(({ patient }) => patient) ? "patient" : "attentive";
  }

  close(): void {
    this.conversation.close();
  }

  async request(exchange: Exchange, client: Client): Promise<Reply> {
    const logs = this.mayLog(exchange, client);
    if (logs) this.loggers.set(exchange, client);
    try {
      return await this.rounds(exchange, client, metaOf(exchange, client, logs));
    } finally {
      if (logs) this.loggers.delete(exchange);
    }
  }

  /** Rejects with what the server says, or a `Fault`. `over`: the server has ended it, or has ended itself. */
  async listen(
    wanted: Filter,
    client: Client,
    hear: (note: Note) => void,
    signal: AbortSignal,
    over: () => void,
  ): Promise<Filter> {
    const meta = envelope(client, client.era === "modern" ? client.capabilities : {});
    const silent = new AbortController();
    const timer = setTimeout(() => silent.abort(), ACKNOWLEDGE_MS);
    const patient = client.era === "legacy" && !wanted.resourceSubscriptions?.length;
    let id = 0;
    let granted = false;
    try {
      return await new Promise<Filter>((resolve, reject) => {
        const acknowledged = (given: Filter) => {
          granted = true;
          resolve(given);
        };
        const sent = (given: number) => {
          id = given;
          this.listens.set(id, { patient, hear, acknowledged });
        };
        const options = { signal: AbortSignal.any([signal, silent.signal]), endless: true, sent };
        const ended = (reason: Error) => {
          this.listens.delete(id);
          if (granted) over();
          else reject(reason);
        };
        this.conversation
          .call("subscriptions/listen", { notifications: wanted, _meta: meta }, options)
          .then((answer) => ended("error" in answer ? new RpcFault(answer.error) : NOTHING_GRANTED), ended);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  private async rounds(exchange: Exchange, client: Client, meta: Params): Promise<Reply> {
    const { method, signal } = exchange;
    const progress = exchange.rounds ? exchange.progress : rising(exchange.progress);
    let { responses, state } = exchange.retry ?? {};
    for (let round = 0; ; round++) {
      const params = withAnswers(exchange.params, meta, responses, state);
      const answer = await this.conversation.call(method, params, { signal, progress });
      const asked = askedBy(answer);
      if (!asked) return replyOf(answer, exchange);
      const able = declared(exchange, client);
      const refused = asked.questions.find(([, question]) => missingCapability(question, able) !== undefined);
      if (refused) return undeclared(exchange, refused[1]);
      if (!exchange.rounds && !exchange.ask) return failed(method, "the server asks, and nobody can answer it here");
      if (exchange.rounds) {
        const requests = Object.fromEntries(asked.questions);
        return { kind: "input-required", requests, state: asked.state, result: asked.result };
      }
      if (round === ROUNDS_MAX) return failed(method, `the server still asks after ${ROUNDS_MAX} rounds of questions`);
      if (asked.questions.length === 0) await sleep(AGAIN_MS, signal);
      try {
        responses = await answersTo(asked.questions, exchange);
      } catch (error) {
        if (signal.aborted) throw new Fault("cancelled", `${method} was cancelled`, { cause: error });
        return failed(method, errorOf(error).message, error);
      }
      state = asked.state;
    }
  }

  /** One at a time, or all of one legacy client. */
  private mayLog(exchange: Exchange, client: Client): boolean {
    if (!exchange.log) return false;
    return client.era === "modern"
      ? this.loggers.size === 0
      : [...this.loggers.values()].every((other) => other === client);
  }

  private question(id: QuestionId, method: string): void {
    if (method === "ping") return this.conversation.reply(id, {});
    this.conversation.refuse(id, { code: -32601, message: `there is no ${method} in this era` });
  }

  private note(method: string, params: Params): void {
    if (method === "notifications/message") return [...this.loggers.keys()].at(-1)?.log?.tell(params);
    if (method === "notifications/cancelled") {
      const { requestId } = params;
      if (typeof requestId !== "number" || !this.listens.has(requestId)) return;
      return this.conversation.settle(requestId, { code: -32603, message: "the server has ended the subscription" });
    }
    const { [META.subscription]: id, ...meta } = member(params, "_meta");
    const listen = typeof id === "number" ? this.listens.get(id) : undefined;
    if (!listen) return;
    if (method === "notifications/subscriptions/acknowledged") {
      const granted = v.safeParse(filter, params.notifications);
      return listen.acknowledged(granted.success ? compact(granted.output) : {});
    }
    const { _meta, ...rest } = params;
    listen.hear({ method, params: Object.keys(meta).length > 0 ? { ...rest, _meta: meta } : rest });
  }
}

const NOTHING_GRANTED = new Fault("server-failed", "the server has ended the subscription before it began");

function compact(given: v.InferOutput<typeof filter>): Filter {
  const { toolsListChanged, promptsListChanged, resourcesListChanged, resourceSubscriptions } = given;
  return {
    ...(toolsListChanged ? { toolsListChanged } : {}),
    ...(promptsListChanged ? { promptsListChanged } : {}),
    ...(resourcesListChanged ? { resourcesListChanged } : {}),
    ...(resourceSubscriptions ? { resourceSubscriptions } : {}),
  };
}

/** What the server is told that the client can do. A legacy client has said more than this era knows. */
function declared({ capabilities }: Exchange, { era }: Client): Params {
  return era === "modern" ? capabilities : profileOf(capabilities);
}

function metaOf(exchange: Exchange, client: Client, logs: boolean): Params {
  const level = logs ? { [META.level]: exchange.log?.level } : {};
  return { ...member(exchange.params, "_meta"), ...envelope(client, declared(exchange, client)), ...level };
}
