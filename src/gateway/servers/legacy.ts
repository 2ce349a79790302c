/**
 * A server process that was opened with `initialize`. Nothing on its wire ties a question, or a log message, to the call
 * that has caused it. So either the process is one legacy client's own, and everything is that client's, or it is one of a
 * pool (pool.ts), where the one call that holds the lease is asked and told, and nobody else.
 */
import { missingCapability } from "../clients/capabilities.ts";
import { isRecord } from "../clients/message.ts";
import type { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { Client, Description, Exchange, Params, Question, Reply } from "../exchange.ts";
import { type Answer, Conversation } from "./conversation.ts";
import { initialize } from "./handshake.ts";
import type { Listened, Listeners } from "./listeners.ts";
import type { Lines } from "./lines.ts";
import { member, type QuestionId } from "./message.ts";
import { errorOf, questionOf } from "./questions.ts";
import { Urls } from "./urls.ts";

/** Questions that one process has open at the same time. */
const QUESTIONS_MAX = 64;
/** A server whose list of tools has no end is not asked for all of it. */
const TOOL_PAGES_MAX = 64;
const METHOD_NOT_FOUND = -32601;

export interface LegacyRole {
  /** What `initialize` says that the client can do. */
  capabilities: Params;
  /** Whose own process it is; absent in a pool. */
  client?: Client;
  listeners: Listeners;
}

type Way = (question: Question, signal: AbortSignal) => Promise<Params>;

export class LegacyProcess implements Listened {
  readonly era = "legacy";
  /** The call that has the process for itself, as far as questions and log messages go. Of the pool. */
  lease: Exchange | undefined;
  /** Called once, when the process has ended. */
  onEnded: (fault: Fault) => void = () => {};
  private known: Description | undefined;
  private readonly conversation: Conversation;
  private readonly calls = new Set<Exchange>();
  private readonly questions = new Map<QuestionId, AbortController>();
  private readonly urls = new Urls();
  private level: string | undefined;
  private taskTools: Promise<Set<string>> | undefined;

  private constructor(
    lines: Lines,
    private readonly role: LegacyRole,
  ) {
    this.conversation = new Conversation(lines, {
      question: (id, method, params) => this.question(id, method, params),
      note: (method, params) => this.note(method, params),
      ended: (fault) => this.end(fault),
    });
  }

  /** Throws `Refused`; faults: `timeout`, those of the bridge. The lines are closed then. */
  static async open(lines: Lines, role: LegacyRole, deadline: Deadline): Promise<LegacyProcess> {
    const process = new LegacyProcess(lines, role);
    try {
      process.known = await initialize(process.conversation, role.capabilities, role.client?.info, deadline);
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

  get inFlight(): number {
    return this.conversation.inFlight;
  }

  /** Somebody is thinking about an answer. */
  get isAsking(): boolean {
    return this.questions.size > 0;
  }

  close(): void {
    this.conversation.close();
  }

  async request(exchange: Exchange): Promise<Reply> {
    this.calls.add(exchange);
    try {
      const level = exchange.log?.level;
      if (level !== undefined && level !== this.level) await this.setLevel(level);
      const answer = await this.answerTo(exchange);
      if ("result" in answer) return { kind: "result", era: "legacy", result: answer.result };
      return { kind: "error", error: answer.error };
    } finally {
      this.calls.delete(exchange);
    }
  }

  notify(method: string, params: Params): void {
    this.conversation.notify(method, params);
  }

  /** Kept by the server until it is told otherwise; one that has no logging is not told. */
  async setLevel(level: string): Promise<void> {
    this.level = level;
    if (!isRecord(this.description.capabilities.logging)) return;
    await this.conversation.call("logging/setLevel", { level });
  }

  async subscribe(uri: string): Promise<boolean> {
    if (member(this.description.capabilities, "resources").subscribe !== true) return false;
    const answer = await this.conversation.call("resources/subscribe", { uri }).catch(() => undefined);
    return answer !== undefined && "result" in answer;
  }

  unsubscribe(uri: string): void {
    if (!this.over) this.conversation.call("resources/unsubscribe", { uri }).catch(() => {});
  }

  private async answerTo(exchange: Exchange): Promise<Answer> {
    const { method, params, signal, progress } = exchange;
    const send = () => this.conversation.call(method, params, { signal, progress });
    if (this.role.client) return await send();
    if (method === "tools/call" && (await this.needsTask(params.name))) return await this.callAsTask(exchange);
    return await this.urls.visited(exchange, await send(), send);
  }

  /** Modern clients know nothing of the tasks of the legacy era, and some tools cannot be called otherwise. */
  private async needsTask(name: unknown): Promise<boolean> {
    const { requests } = member(this.description.capabilities, "tasks");
    if (!isRecord(requests) || !isRecord(member(requests, "tools").call) || typeof name !== "string") return false;
    this.taskTools ??= this.listTaskTools().catch((error: unknown) => {
      this.taskTools = undefined;
      throw error;
    });
    return (await this.taskTools).has(name);
  }

  private async listTaskTools(): Promise<Set<string>> {
    const names = new Set<string>();
    let params: Params = {};
    for (let page = 0; page < TOOL_PAGES_MAX; page++) {
      const answer = await this.conversation.call("tools/list", params);
      const list = "result" in answer && isRecord(answer.result.value) ? answer.result.value : {};
      for (const tool of Array.isArray(list.tools) ? list.tools : []) {
        if (!isRecord(tool) || typeof tool.name !== "string") continue;
        if (member(tool, "execution").taskSupport === "required") names.add(tool.name);
      }
      if (typeof list.nextCursor !== "string") break;
      params = { cursor: list.nextCursor };
    }
    return names;
  }

  private async callAsTask({ params, signal }: Exchange): Promise<Answer> {
    const created = await this.conversation.call("tools/call", { ...params, task: {} }, { signal });
    if ("error" in created) return created;
    const { value } = created.result;
    const taskId = isRecord(value) ? member(value, "task").taskId : undefined;
    // It was not needed after all.
    if (typeof taskId !== "string") return created;
    const cancel = () => void this.conversation.call("tasks/cancel", { taskId }).catch(() => {});
    signal.addEventListener("abort", cancel, { once: true });
    try {
      // Answered when the task has ended.
      return await this.conversation.call("tasks/result", { taskId }, { signal });
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  private question(id: QuestionId, method: string, params: Params): void {
    if (method === "ping") return this.conversation.reply(id, {});
    const question = questionOf(method, this.role.client ? params : ownWords(params));
    const way = question && this.wayOf(question);
    if (!question || !way) {
      const message = question ? "nobody can be asked this now" : `the client does not know ${method}`;
      return this.conversation.refuse(id, { code: METHOD_NOT_FOUND, message });
    }
    if (this.questions.size >= QUESTIONS_MAX) {
      return this.conversation.refuse(id, { code: -32603, message: "too many questions are open" });
    }
    this.conversation.touch();
    const abort = new AbortController();
    this.questions.set(id, abort);
    void this.put(id, question, way, abort);
  }

  private async put(id: QuestionId, question: Question, way: Way, abort: AbortController): Promise<void> {
    let reply: () => void;
    try {
      const answer = await way(question, abort.signal);
      reply = () => this.conversation.reply(id, answer);
    } catch (error) {
      reply = () => this.conversation.refuse(id, errorOf(error));
    }
    if (this.questions.get(id) === abort) this.questions.delete(id);
    // The server does not wait any more.
    if (abort.signal.aborted) return;
    this.conversation.touch();
    reply();
  }

  private wayOf(question: Question): Way | undefined {
    const { client } = this.role;
    if (!client) {
      const { lease } = this;
      const missing = missingCapability(question, this.role.capabilities);
      return missing === undefined ? lease?.ask?.bind(lease) : undefined;
    }
    // All calls are this client's; its own stream of one is better than that of none.
    const able = [...this.calls].filter(({ ask }) => ask);
    const call = able.at(-1);
    if (able.length === 1 || !client.ask) return call?.ask?.bind(call);
    return client.ask.bind(client);
  }

  private note(method: string, params: Params): void {
    switch (method) {
      case "notifications/cancelled": {
        const { requestId } = params;
        if (typeof requestId === "string" || typeof requestId === "number") this.questions.get(requestId)?.abort();
        return;
      }
      case "notifications/message":
        return this.log(params);
      case "notifications/elicitation/complete":
        this.urls.completed(params.elicitationId);
    }
    if (method === "notifications/tools/list_changed") this.taskTools = undefined;
    if (!this.role.listeners.hear(method, params)) this.role.client?.tell?.({ method, params });
  }

  private log(params: Params): void {
    const { client } = this.role;
    const [only, another] = this.calls;
    const call = another ? undefined : only;
    if (client) {
      if (call?.log) call.log.tell(params);
      else client.tell?.({ method: "notifications/message", params });
      return;
    }
    if (call && call === this.lease) call.log?.tell(params);
  }

  private end(fault: Fault): void {
    for (const abort of this.questions.values()) abort.abort();
    this.questions.clear();
    this.onEnded(fault);
  }
}

/** Without what belongs to this wire, or to the legacy era only. */
function ownWords({ _meta, task: _task, elicitationId: _id, ...params }: Params): Params {
  return params;
}
