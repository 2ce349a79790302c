/** What one client is offered by each server: by its own session where it has one, else as the catalogue knows it. */
import type { Client, Description } from "../exchange.ts";
import type { Hall } from "./aggregate.ts";
import { INSTRUCTIONS, type Words } from "./approvals.ts";
import { patiently } from "./catalogue.ts";
import { named } from "./redirect.ts";
import type { Said } from "./replies.ts";
import { isMember, mayMeet, type View } from "./filter.ts";
import type { Member } from "./member.ts";
import { type Menu, menuOf, type Source } from "./menu.ts";
import { type Item, type Kind, type Offer, profileOf } from "./offer.ts";
import { Part, type PartOwner } from "./part.ts";

/** Parts of Linkspan itself are loaded at their first use, and are worth it; but an engine may hang. */
const OWN_PATIENCE_MS = 3_000;

export class Sources implements PartOwner {
  private readonly parts = new Map<string, Part>();
  private readonly profile: string;
  private readonly stop: (() => void)[];
  /** What was held back of the tools with which a session began. */
  private readonly looks = new WeakMap<object, { held: ReadonlySet<string>; revision: number }>();
  /** Until something changes. */
  private menu: Menu | undefined;

  constructor(
    private readonly hall: Hall,
    private readonly view: View,
    private readonly scopes: readonly string[] | undefined,
    private readonly client: Client,
    /** What the client sees is another now. */
    private readonly onChange: (kinds: readonly Kind[]) => void,
  ) {
    this.profile = profileOf(client);
    const { roster, catalogue, approvals } = hall;
    this.stop = [
      roster.onChange(() => this.moved()),
      roster.onReady((server) => this.ready(server)),
      catalogue.onChange((id, kinds) => this.relearned(id, [...kinds])),
      approvals.onApproved((server) => this.relearned(server, ["tools"])),
    ];
  }

  /** The servers of this client, in their order. */
  members(): Member[] {
    return this.hall.roster.list().filter((one) => isMember(one, this.view) && mayMeet(one, this.scopes));
  }

  part(member: Member): Part {
    const known = this.parts.get(member.id);
    if (known?.member.spec === member.spec) return known;
    // Defined anew: what is under way in the old one may end.
    known?.retire();
    const part = new Part(member, this.clientOf(member), this);
    this.parts.set(member.id, part);
    return part;
  }

  /** Whether it has ever said what it offers. */
  isKnown(member: Member): boolean {
    return this.hall.catalogue.find(member, this.profile) !== undefined;
  }

  opened(): Part[] {
    return [...this.parts.values()].filter(({ open }) => open);
  }

  /** What each server says of itself, as far as it is known. Whoever is not known is asked, and not waited for. */
  descriptions(): Said[] {
    return this.members().flatMap((member) => {
      const found = this.hall.catalogue.find(member, this.profile);
      if (!found) this.hall.catalogue.survey(member, this.client).done.catch(() => {});
      if (!found) return [];
      const { description } = found.offer;
      const held = this.hall.approvals.held(member, found.profile, wordsOf(found.offer));
      const instructions = held.has(INSTRUCTIONS) ? undefined : description.instructions;
      return [{ member, instructions, held: held.size }];
    });
  }

  /** Asks who may have something new to say, all at the same time, and waits for nobody longer than is polite. */
  async fresh(kinds: readonly Kind[]): Promise<{ menu: Menu; sources: Source[] }> {
    await Promise.all(this.members().map((member) => this.ask(member, kinds)));
    const sources = this.now();
    return { menu: (this.menu = menuOf(sources, this.view, this.scopes)), sources };
  }

  /** As far as it is known; nobody is asked. */
  known(): Menu {
    return (this.menu ??= menuOf(this.now(), this.view, this.scopes));
  }

  /** Tools of the session that are held back, where that was worked out already. */
  heldAlready(part: Part): ReadonlySet<string> | undefined {
    if (this.hall.approvals.policyOf(part.member) !== "block") return NONE;
    const last = part.session && this.looks.get(part.session);
    return last?.revision === this.hall.approvals.revision ? last.held : undefined;
  }

  /** The same, asked for in the session. Rejects where the server does not say. */
  async heldIn(part: Part): Promise<ReadonlySet<string>> {
    const { approvals, catalogue } = this.hall;
    const asked = part.verified();
    const { session } = part;
    const tools = await asked;
    const instructions = catalogue.find(part.member, this.profile)?.offer.description.instructions;
    const held = approvals.held(part.member, this.profile, { instructions, tools });
    if (session) this.looks.set(session, { held, revision: approvals.revision });
    return held;
  }

  changed(part: Part, kinds: readonly Kind[]): void {
    if (this.parts.get(part.member.id) !== part || kinds.length === 0) return;
    this.menu = undefined;
    this.onChange(kinds);
  }

  learned({ member }: Part, kind: Kind, items: Item[], description: Description): void {
    const known = this.hall.catalogue.find(member, this.profile);
    // The tools come first: with those of another kind of client, or none, it would seem to have changed later.
    if (kind !== "tools" && known?.profile !== this.profile) return;
    const base: Offer = known?.offer ?? { description, tools: [], prompts: [], resources: [], templates: [] };
    this.hall.catalogue.learn(member, this.profile, { ...base, description, [kind]: items });
  }

  async close(): Promise<void> {
    for (const stop of this.stop) stop();
    const parts = [...this.parts.values()];
    this.parts.clear();
    await Promise.all(parts.map((part) => part.close()));
  }

  private async ask(member: Member, kinds: readonly Kind[]): Promise<void> {
    const patienceMs = member.own ? Math.max(OWN_PATIENCE_MS, this.hall.patienceMs) : this.hall.patienceMs;
    // Asking one of our own costs nothing, and what it offers is what the engine has just now.
    const part = member.own ? this.part(member) : this.parts.get(member.id);
    if (part && (part.open || member.own) && part.member.spec === member.spec) {
      const lists = kinds.map((kind) => part.list(kind));
      await Promise.all(lists.map(({ startedAt, done }) => patiently(done, startedAt, patienceMs)));
    } else if (!this.hall.catalogue.find(member, this.profile)) {
      const { startedAt, done } = this.hall.catalogue.survey(member, this.client);
      await patiently(done, startedAt, patienceMs);
    }
  }

  private now(): Source[] {
    const { catalogue, approvals } = this.hall;
    return this.members().map((member): Source => {
      const part = this.parts.get(member.id);
      const live = part?.open === true && part.member.spec === member.spec;
      const known = catalogue.find(member, this.profile);
      const offer = live ? part.offer(known?.offer) : known?.offer;
      const reason = offer ? undefined : (catalogue.failure(member)?.message ?? "it has not said yet what it offers");
      const profile = live && part.has("tools") ? this.profile : (known?.profile ?? this.profile);
      const held = offer ? approvals.held(member, profile, wordsOf(offer)) : NONE;
      return { member, offer, stored: offer !== undefined && !live && !member.own, reason, held };
    });
  }

  private moved(): void {
    this.menu = undefined;
    const there = new Map(this.members().map((member) => [member.id, member]));
    for (const [id, part] of this.parts) {
      if (there.get(id)?.spec === part.member.spec) continue;
      this.parts.delete(id);
      part.retire();
    }
    this.onChange(["tools", "prompts", "resources"]);
  }

  /** One that could not say what it offers can, perhaps, now. */
  private ready(server: string): void {
    const member = this.members().find(({ id }) => id === server);
    if (!member || this.hall.catalogue.find(member, this.profile)) return;
    this.hall.catalogue.again(member, this.client);
  }

  private relearned(id: string, kinds: readonly Kind[]): void {
    if (!this.members().some((member) => member.id === id)) return;
    this.menu = undefined;
    if (kinds.length > 0) this.onChange(kinds);
  }

  /** Messages say which server they come from. */
  private clientOf({ name }: Member): Client {
    const { era, principal, info, capabilities } = this.client;
    return {
      era,
      principal,
      info,
      capabilities,
      ...(this.client.ask ? { ask: (question, signal) => this.answer(question, signal) } : {}),
      ...(this.client.tell ? { tell: (note) => this.client.tell?.(named(name, note)) } : {}),
    };
  }

  private answer(...[question, signal]: Parameters<NonNullable<Client["ask"]>>) {
    const { ask } = this.client;
    if (!ask) throw new Error("the client cannot be asked");
    return ask.call(this.client, question, signal);
  }
}

function wordsOf({ description: { instructions }, tools }: Offer): Words {
  return { instructions, tools };
}

const NONE: ReadonlySet<string> = new Set();
