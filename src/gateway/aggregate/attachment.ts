/** One client's use of all its servers: every request finds its server, everything else passes through as it is. */
import { VERSION } from "../../base/version.ts";
import { Fault } from "../../base/fault.ts";
import {
  type Attachment,
  type Client,
  type Description,
  type Exchange,
  type Filter,
  type Note,
  type Params,
  type Reply,
} from "../exchange.ts";
import { heeding } from "../heeding.ts";
import type { Hall } from "./aggregate.ts";
import { mayUse, type View } from "./filter.ts";
import { Links } from "./links.ts";
import { Listeners } from "./listeners.ts";
import type { Member } from "./member.ts";
import { type Dish, itemsOf, type Menu, ownerOf } from "./menu.ts";
import { mayComeFrom } from "./names.ts";
import { faultOf, type Item, type Kind, LISTINGS } from "./offer.ts";
import { Pages } from "./pages.ts";
import type { Part } from "./part.ts";
import { redirected } from "./redirect.ts";
import {
  collision,
  heldBack,
  instructionsOf,
  INVALID_PARAMS,
  listing,
  marks,
  METHOD_NOT_FOUND,
  refusal,
  result,
  unknownTool,
} from "./replies.ts";
import { CALL, calledTool, FIND, findTools, LIST_CHARS_MAX, searchTools } from "./search.ts";
import { Sources } from "./sources.ts";

const LISTS = new Map<string, Kind>(
  (["tools", "prompts", "resources", "templates"] as const).map((kind) => [LISTINGS[kind].method, kind]),
);

/**
 * All that the gateway can pass on, whoever is there now: servers come and go, and in the legacy era a client is told once.
 */
const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  completions: {},
  logging: {},
};

export class AggregateAttachment implements Attachment {
  private readonly sources: Sources;
  private readonly listeners: Listeners;
  private readonly pages = new Pages();
  /** Resources that no list has named: whoever has spoken of one has it. */
  private readonly links = new Links();

  constructor(
    hall: Hall,
    private readonly view: View,
    private readonly scopes: readonly string[] | undefined,
    client: Client,
  ) {
    this.sources = new Sources(hall, view, scopes, client, (kinds) => this.listeners.changed(kinds));
    this.listeners = new Listeners(
      (uri) => this.ownerOf(uri),
      (member) => this.sources.part(member),
    );
  }

  async describe(): Promise<Description> {
    const found = this.sources.descriptions();
    const instructions = instructionsOf(found);
    return {
      era: "modern",
      serverInfo: { name: "linkspan", title: "Linkspan", version: VERSION },
      capabilities: CAPABILITIES,
      instructions: instructions === "" ? undefined : instructions,
    };
  }

  async request(exchange: Exchange): Promise<Reply> {
    const { method, params } = exchange;
    const kind = LISTS.get(method);
    if (kind) return this.list(kind, params);
    if (method === "tools/call") return this.call(exchange, params);
    if (method === "prompts/get") return this.prompt(exchange);
    if (method === "resources/read") return this.read(exchange);
    if (method === "completion/complete") return this.complete(exchange);
    return refusal(METHOD_NOT_FOUND, `the gateway does not know the method ${method}`);
  }

  notify(note: Note): void {
    for (const part of this.sources.opened()) part.notify(note);
  }

  listen(filter: Filter, hear: (note: Note) => void, signal: AbortSignal, ended: () => void): Promise<Filter> {
    return this.listeners.listen(filter, hear, signal, ended);
  }

  async close(): Promise<void> {
    this.listeners.close();
    await this.sources.close();
  }

  private async list(kind: Kind, { cursor }: Params): Promise<Reply> {
    if (typeof cursor === "string") {
      const page = this.pages.next(kind, cursor);
      return page ? listing(kind, page, {}) : refusal(INVALID_PARAMS, "this cursor is none of this list, or too old");
    }
    const { menu, sources } = await this.sources.fresh([kind]);
    const items = kind === "tools" && this.searched(menu) ? this.searchTools(menu) : itemsOf(menu, kind);
    return listing(kind, this.pages.first(kind, items), marks(sources, menu));
  }

  private async call(exchange: Exchange, params: Params, searched = false): Promise<Reply> {
    const { name } = params;
    if (typeof name !== "string") return refusal(INVALID_PARAMS, "tools/call needs a name");
    if (this.view.findTools !== false && !searched) {
      if (name === FIND) return this.find(params);
      if (name === CALL) return this.call(exchange, { ...params, ...calledTool(params.arguments) }, true);
    }
    const dish = await this.dish("tools", name, exchange.signal);
    if (!dish) return unknownTool(name, this.sources.known());
    const part = this.sources.part(dish.member);
    const held = this.sources.heldAlready(part) ?? (await heeding(exchange.signal, this.sources.heldIn(part)));
    if (held.has(dish.raw)) throw heldBack(name, dish.member.name, dish.raw);
    return this.pass(exchange, part, { ...params, name: dish.raw });
  }

  private async find({ arguments: args }: Params): Promise<Reply> {
    const { menu } = await this.sources.fresh(["tools"]);
    const text = JSON.stringify({ tools: findTools(itemsOf(menu, "tools"), args) });
    return result({ content: [{ type: "text", text }] });
  }

  private async prompt(exchange: Exchange): Promise<Reply> {
    const { name } = exchange.params;
    const dish = typeof name === "string" ? await this.dish("prompts", name, exchange.signal) : undefined;
    if (!dish) return refusal(INVALID_PARAMS, `there is no prompt ${JSON.stringify(name)}`);
    return this.pass(exchange, this.sources.part(dish.member), { ...exchange.params, name: dish.raw });
  }

  private async read(exchange: Exchange): Promise<Reply> {
    const { uri } = exchange.params;
    const member = typeof uri === "string" ? await this.ownerOf(uri) : undefined;
    if (!member) return refusal(INVALID_PARAMS, `no server has listed the resource ${JSON.stringify(uri)}`, { uri });
    return this.pass(exchange, this.sources.part(member), exchange.params);
  }

  private async complete(exchange: Exchange): Promise<Reply> {
    const { ref } = exchange.params;
    const { name, uri }: Params = typeof ref === "object" && ref !== null ? { ...ref } : {};
    if (typeof name === "string") {
      const dish = await this.dish("prompts", name, exchange.signal);
      if (!dish) return refusal(INVALID_PARAMS, `there is no prompt ${JSON.stringify(name)}`);
      const params = { ...exchange.params, ref: { ...Object(ref), name: dish.raw } };
      return this.pass(exchange, this.sources.part(dish.member), params);
    }
    const member = typeof uri === "string" ? await this.ownerOf(uri) : undefined;
    if (!member) return refusal(INVALID_PARAMS, "no server has listed what is to be completed");
    return this.pass(exchange, this.sources.part(member), exchange.params);
  }

  private async pass(exchange: Exchange, part: Part, params: Params): Promise<Reply> {
    const reply = await part.request(redirected(exchange, params, part.member.name));
    if (reply.kind === "result") this.links.look(reply.result, part.member);
    return reply;
  }

  /**
   * What the name stands for. Whoever may have it and has not said so is waited for: this is a use of that server.
   * Faults: `conflict` where several have the name, `forbidden` where it is held back, `cancelled`.
   */
  private async dish(kind: "tools" | "prompts", name: string, signal: AbortSignal): Promise<Dish | undefined> {
    const known = this.sources.known()[kind].get(name);
    if (known) return known;
    const held = this.sources.known().held.get(name);
    const candidates = held ? [held.member] : this.candidates(name);
    let failure: Fault | undefined;
    for (const member of candidates) {
      // It may be again as it was.
      const asked = this.sources
        .part(member)
        .list(kind)
        .done.catch((error) => void (failure = faultOf(error)));
      await heeding(signal, asked);
      const found = this.sources.known()[kind].get(name);
      if (found) return found;
    }
    const { collisions, held: still } = this.sources.known();
    const whose = collisions[kind].get(name);
    if (whose !== undefined) throw collision(name, whose);
    const one = kind === "tools" ? still.get(name) : undefined;
    if (one) throw heldBack(name, one.member.name, one.raw);
    // Whether it has the tool nobody knows: why it does not say so is more of an answer.
    if (failure && candidates.filter(({ own }) => !own).length === 1) throw failure;
    return undefined;
  }

  /** Who may have something of this name and has not said so. */
  private candidates(name: string): Member[] {
    const { plainNames } = this.view;
    return this.sources
      .members()
      .filter((one) => (plainNames ? !this.sources.isKnown(one) : mayComeFrom(one.prefix, name)));
  }

  private async ownerOf(uri: string): Promise<Member | undefined> {
    const known = ownerOf(uri, this.sources.known()) ?? this.linked(uri);
    if (known) return known;
    const { menu, sources } = await this.sources.fresh(["resources", "templates"]);
    const owner = ownerOf(uri, menu);
    if (owner) return owner;
    const able = sources.filter(({ offer }) => offer?.description.capabilities["resources"] !== undefined);
    const only = able.length === 1 ? able[0]?.member : undefined;
    return only && mayUse(only, this.scopes) ? only : undefined;
  }

  /** Who has spoken of it, if that server is still there. */
  private linked(uri: string): Member | undefined {
    const id = this.links.whose(uri);
    const member = id === undefined ? undefined : this.sources.members().find((one) => one.id === id);
    // To be told of it by a tool is not to be allowed more than the tool.
    return member && mayUse(member, this.scopes) ? member : undefined;
  }

  private searched({ tools }: Menu): boolean {
    if (this.view.findTools !== "auto") return this.view.findTools;
    let chars = 0;
    for (const { item } of tools.values()) chars += JSON.stringify(item).length;
    return chars > LIST_CHARS_MAX;
  }

  private searchTools({ tools }: Menu): Item[] {
    const servers = new Set([...tools.values()].map(({ member }) => member.name));
    return searchTools([...servers], tools.size);
  }
}
