/**
 * An upstream as a token of narrower scope sees it: some of its tools, or only those that say that they change nothing.
 * What is not allowed does not exist: it is neither listed nor called.
 */
import {
  type Attachment,
  type Exchange,
  type Filter,
  Json,
  type Note,
  type Params,
  type Reply,
  RpcFault,
  type Upstream,
} from "./exchange.ts";
import { isRecord } from "./clients/message.ts";
import type { Deadline } from "../base/deadline.ts";

export interface Scope {
  /** Names as the upstream gives them, with `*` at the end for all that begin so; undefined: all, and prompts and resources. */
  tools: readonly string[] | undefined;
  /** Only tools whose annotation `readOnlyHint` is true. */
  readOnly: boolean;
}

/** How long an annotation is believed without a look. */
const ANNOTATIONS_MS = 30_000;
const PAGES_MAX = 100;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;

/** What a scope of some tools leaves of the methods. */
const TOOL_METHODS = ["tools/list", "tools/call"];
/** And what reading leaves of them: nobody knows what a method of a server's own does. */
const READING =
  /^(ping|(tools|prompts|resources(\/templates)?|tasks)\/list|tools\/call|prompts\/get|resources\/(read|(un)?subscribe)|tasks\/(get|result|cancel)|completion\/complete|logging\/setLevel)$/;

export function scoped(upstream: Upstream, scope: Scope): Upstream {
  if (scope.tools === undefined && !scope.readOnly) return upstream;
  return { attach: (client) => new ScopedAttachment(upstream.attach(client), scope) };
}

export function matchesTool(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}

class ScopedAttachment implements Attachment {
  private harmless = new Set<string>();
  private lookedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly inner: Attachment,
    private readonly scope: Scope,
  ) {}

  async describe(deadline: Deadline) {
    const description = await this.inner.describe(deadline);
    if (this.scope.tools === undefined) return description;
    const { prompts: _p, resources: _r, completions: _c, tasks: _t, ...capabilities } = description.capabilities;
    return { ...description, capabilities };
  }

  async request(exchange: Exchange): Promise<Reply> {
    const { method, params } = exchange;
    if (this.scope.tools !== undefined && !TOOL_METHODS.includes(method)) {
      return { kind: "error", error: { code: METHOD_NOT_FOUND, message: "this token is for tools only" } };
    }
    if (this.scope.readOnly && !READING.test(method)) {
      return { kind: "error", error: { code: METHOD_NOT_FOUND, message: "this token is for reading only" } };
    }
    if (method === "tools/list") return this.listed(await this.inner.request(exchange));
    if (method === "tools/call" && !(await this.mayCall(params.name, exchange))) {
      return { kind: "error", error: { code: INVALID_PARAMS, message: "this token allows no tool of that name" } };
    }
    return this.inner.request(exchange);
  }

  notify(note: Note): void {
    this.inner.notify(note);
  }

  listen(filter: Filter, hear: (note: Note) => void, signal: AbortSignal, ended: () => void): Promise<Filter> {
    const { toolsListChanged = false } = filter;
    const narrowed = this.scope.tools === undefined ? filter : { toolsListChanged };
    return this.inner.listen(narrowed, hear, signal, ended);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  private listed(reply: Reply): Reply {
    if (reply.kind !== "result" || !isRecord(reply.result.value)) return reply;
    const tools = toolsOf(reply.result.value).filter((tool) => this.named(tool.name));
    learn(this.harmless, tools);
    const kept = this.scope.readOnly ? tools.filter(isHarmless) : tools;
    return { ...reply, result: Json.of({ ...reply.result.value, tools: kept }) };
  }

  private async mayCall(name: unknown, exchange: Exchange): Promise<boolean> {
    if (!this.named(name)) return false;
    if (!this.scope.readOnly) return true;
    if (performance.now() - this.lookedAt > ANNOTATIONS_MS) await this.look(exchange);
    return typeof name === "string" && this.harmless.has(name);
  }

  private named(name: unknown): boolean {
    const { tools } = this.scope;
    return typeof name === "string" && (tools === undefined || tools.some((pattern) => matchesTool(pattern, name)));
  }

  /** Asks for the whole list: the client may never have. */
  private async look({ signal, capabilities }: Exchange): Promise<void> {
    const harmless = new Set<string>();
    let cursor: unknown;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const params = cursor === undefined ? {} : { cursor };
      const reply = await this.inner.request({ method: "tools/list", params, signal, capabilities, rounds: false });
      if (reply.kind === "error") throw new RpcFault(reply.error);
      if (!isRecord(reply.result.value)) break;
      learn(harmless, toolsOf(reply.result.value));
      cursor = reply.result.value.nextCursor;
      if (cursor === undefined) break;
    }
    this.harmless = harmless;
    this.lookedAt = performance.now();
  }
}

function learn(harmless: Set<string>, tools: Params[]): void {
  for (const tool of tools) {
    if (typeof tool.name !== "string") continue;
    if (isHarmless(tool)) harmless.add(tool.name);
    else harmless.delete(tool.name);
  }
}

function isHarmless({ annotations }: Params): boolean {
  return isRecord(annotations) && annotations.readOnlyHint === true;
}

function toolsOf(result: Params): Params[] {
  return Array.isArray(result.tools) ? result.tools.filter(isRecord) : [];
}
