/** Servers that are as good or bad as a test wants them, behind the interface that real ones have. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SILENT } from "../../../src/base/log.ts";
import { Aggregate, type Hall } from "../../../src/gateway/aggregate/aggregate.ts";
import { type ApprovalRules, Approvals } from "../../../src/gateway/aggregate/approvals.ts";
import { Catalogue } from "../../../src/gateway/aggregate/catalogue.ts";
import type { View } from "../../../src/gateway/aggregate/filter.ts";
import type { Member } from "../../../src/gateway/aggregate/member.ts";
import type { Item } from "../../../src/gateway/aggregate/offer.ts";
import {
  type Attachment,
  type Client,
  type Exchange,
  type Filter,
  Json,
  type Note,
  type Params,
  type Reply,
  type Upstream,
} from "../../../src/gateway/exchange.ts";

export class FakeServer implements Upstream {
  tools: Item[] = [];
  prompts: Item[] = [];
  resources: Item[] = [];
  resourceTemplates: Item[] = [];
  instructions: string | undefined;
  /** Sessions that were opened: by their first request. */
  sessions = 0;
  /** Every request, by method. */
  readonly requests: string[] = [];
  /** Before every answer. */
  wait: () => Promise<void> = async () => {};
  onCall: (exchange: Exchange, client: Client) => Promise<Reply> | Reply = ({ params }) =>
    answer({ content: [{ type: "text", text: JSON.stringify(params) }] });
  readonly notes: Note[] = [];
  closed = 0;
  private readonly listeners = new Set<{ filter: Filter; hear: (note: Note) => void; client: Client }>();

  attach(client: Client): Attachment {
    let opened = false;
    const open = async (method: string) => {
      if (!opened) this.sessions += 1;
      opened = true;
      this.requests.push(method);
      await this.wait();
    };
    return {
      describe: async () => {
        await open("describe");
        const capabilities = { tools: {}, prompts: {}, resources: {} };
        return { era: "modern", serverInfo: { name: "fake" }, capabilities, instructions: this.instructions };
      },
      request: async (exchange) => {
        await open(exchange.method);
        return this.answer(exchange, client);
      },
      notify: (note) => void this.notes.push(note),
      listen: async (filter, hear, signal) => {
        await this.wait();
        const listener = { filter, hear, client };
        this.listeners.add(listener);
        signal.addEventListener("abort", () => this.listeners.delete(listener));
        return filter;
      },
      close: async () => void (this.closed += 1),
    };
  }

  tell(note: Note, principal?: string): void {
    for (const { filter, hear, client } of this.listeners) {
      const kind = /notifications\/(tools|prompts|resources)\/list_changed/.exec(note.method)?.[1];
      const wanted =
        kind === "tools"
          ? filter.toolsListChanged
          : kind === "prompts"
            ? filter.promptsListChanged
            : filter.resourcesListChanged;
      const uri = note.params["uri"];
      const updated = typeof uri === "string" && filter.resourceSubscriptions?.includes(uri);
      if ((kind ? wanted : updated) && (principal === undefined || client.principal === principal)) hear(note);
    }
  }

  private answer(exchange: Exchange, client: Client): Promise<Reply> | Reply {
    switch (exchange.method) {
      case "tools/list":
        return answer({ tools: this.tools });
      case "prompts/list":
        return answer({ prompts: this.prompts });
      case "resources/list":
        return answer({ resources: this.resources });
      case "resources/templates/list":
        return answer({ resourceTemplates: this.resourceTemplates });
      default:
        return this.onCall(exchange, client);
    }
  }
}

export function answer(value: Params): Reply {
  return { kind: "result", era: "modern", result: Json.of({ resultType: "complete", ...value }) };
}

export function tool(name: string, more: Item = {}): Item {
  return { name, description: `Does ${name}`, inputSchema: { type: "object", properties: {} }, ...more };
}

export const EVERYTHING: View = {
  toolsets: [],
  tools: { deny: [], rename: {}, describe: {} },
  findTools: false,
  plainNames: false,
};

export interface Stage extends Disposable {
  folder: string;
  hall: Hall;
  catalogue: Catalogue;
  approvals: Approvals;
  reports: string[];
  /** Replaces who is there. */
  set(servers: Record<string, FakeServer>, specs?: Record<string, string>): void;
  /** A server has come to run. */
  ready(id: string): void;
  all(view?: Partial<View>, scopes?: readonly string[]): Upstream;
  client(principal?: string, more?: Partial<Client>, view?: Partial<View>, scopes?: readonly string[]): Visitor;
  /** The same data directory under another manager. */
  again(): Stage;
}

export function stage(
  servers: Record<string, FakeServer>,
  options: { patienceMs?: number; rules?: Partial<ApprovalRules>; folder?: string } = {},
): Stage {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "linkspan-aggregate-"));
  const reports: string[] = [];
  const rules = { policy: "block", servers: {}, ...options.rules } as const;
  const approvals = new Approvals(join(folder, "approvals"), rules, SILENT, (_, message) => reports.push(message));
  const catalogue = new Catalogue(join(folder, "catalogue"), SILENT, 2_000);
  let members: Member[] = [];
  const listeners = new Set<() => void>();
  const set: Stage["set"] = (wanted, specs = {}) => {
    members = Object.entries(wanted).map(([name, upstream]) => {
      const own = name.startsWith("toolset:");
      return {
        id: name,
        name: name.replace("toolset:", ""),
        prefix: own ? undefined : name,
        spec: (specs[name] ?? `${name}-spec`).padEnd(32, "0"),
        own,
        upstream,
      };
    });
    for (const listener of listeners) listener();
  };
  set(servers);
  const ready = new Set<(id: string) => void>();
  const roster = {
    onReady(listener: (id: string) => void) {
      ready.add(listener);
      return () => void ready.delete(listener);
    },
    list: () => members,
    onChange(listener: () => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const hall: Hall = { roster, catalogue, approvals, log: SILENT, patienceMs: options.patienceMs ?? 500 };
  const all: Stage["all"] = (view = {}, scopes) => new Aggregate(hall, { ...EVERYTHING, ...view }, scopes);
  return {
    folder,
    hall,
    catalogue,
    approvals,
    reports,
    set,
    ready: (id) => ready.forEach((listener) => listener(id)),
    all,
    client(principal = "someone", more = {}, view = {}, scopes = undefined) {
      return new Visitor(all(view, scopes), principal, more);
    },
    again: () => stage(servers, { ...options, folder }),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A client, as a leg would be one. */
export class Visitor {
  readonly attachment: Attachment;
  readonly told: Note[] = [];

  constructor(upstream: Upstream, principal: string, more: Partial<Client> = {}) {
    const client: Client = {
      era: "modern",
      principal,
      info: { name: "visitor", version: "1" },
      capabilities: {},
      tell: (note) => void this.told.push(note),
      ...more,
    };
    this.attachment = upstream.attach(client);
  }

  ask(method: string, params: Params = {}, more: Partial<Exchange> = {}): Promise<Reply> {
    const signal = AbortSignal.timeout(20_000);
    return this.attachment.request({ method, params, signal, capabilities: {}, rounds: true, ...more });
  }

  /** The value of a result; an error is thrown as its message. */
  async get(method: string, params: Params = {}, more: Partial<Exchange> = {}): Promise<Record<string, any>> {
    const reply = await this.ask(method, params, more);
    if (reply.kind === "result") return Object(reply.result.value);
    throw new Error(reply.kind === "error" ? `${reply.error.code} ${reply.error.message}` : reply.kind);
  }

  async names(kind: "tools" | "prompts" = "tools"): Promise<string[]> {
    const found = await this.get(`${kind}/list`);
    return found[kind].map(({ name }: Item) => name);
  }

  /** Notes from now on. */
  async hear(filter: Filter = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true }) {
    const heard: Note[] = [];
    const life = new AbortController();
    const granted = await this.attachment.listen(
      filter,
      (note) => heard.push(note),
      life.signal,
      () => {},
    );
    return { heard, granted, stop: () => life.abort(), methods: () => heard.map(({ method }) => method) };
  }
}
