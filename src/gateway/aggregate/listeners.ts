/** What the listeners of one client hear: of all servers, and each of what it has asked for. */
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { Filter, Note } from "../exchange.ts";
import type { Member } from "./member.ts";
import { type Kind, LISTINGS } from "./offer.ts";
import type { Part } from "./part.ts";

/** Servers that change at the same moment are one change; one that changes all the time is a change each second. */
const GATHER_MS = 50;
const PACE_MS = 1_000;
/** With others in one request; whoever has to be started for it alone has longer. */
const SUBSCRIBE_MS = 10_000;
const SUBSCRIBE_ALONE_MS = 60_000;

interface Listener {
  filter: Filter;
  hear: (note: Note) => void;
}

export class Listeners {
  private readonly listeners = new Set<Listener>();
  private readonly waiting = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private toldAt = Number.NEGATIVE_INFINITY;

  constructor(
    /** Whose resource it is. */
    private readonly ownerOf: (uri: string) => Promise<Member | undefined>,
    private readonly partOf: (member: Member) => Part,
  ) {}

  /** As `Attachment.listen`. */
  async listen(filter: Filter, hear: (note: Note) => void, signal: AbortSignal, ended: () => void): Promise<Filter> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const { resourceSubscriptions, ...lists } = filter;
    const end = () => {
      if (either.aborted) return;
      over.abort();
      ended();
    };
    const granted = resourceSubscriptions && (await this.subscribe(resourceSubscriptions, hear, either, end));
    const listener = { filter: lists, hear };
    this.listeners.add(listener);
    either.addEventListener("abort", () => this.listeners.delete(listener), { once: true });
    if (either.aborted) this.listeners.delete(listener);
    return { ...lists, ...(granted ? { resourceSubscriptions: granted } : {}) };
  }

  /** Lists have changed; each listener hears of each kind once. */
  changed(kinds: readonly Kind[]): void {
    for (const kind of kinds) this.waiting.add(LISTINGS[kind].changed);
    const waitMs = Math.max(GATHER_MS, this.toldAt + PACE_MS - performance.now());
    this.timer ??= setTimeout(() => this.tell(), waitMs);
  }

  close(): void {
    clearTimeout(this.timer);
    this.listeners.clear();
  }

  private tell(): void {
    this.timer = undefined;
    this.toldAt = performance.now();
    const methods = new Set(this.waiting);
    this.waiting.clear();
    for (const { filter, hear } of this.listeners) {
      const wanted = Object.values(LISTINGS).filter((one) => filter[one.filter] && methods.has(one.changed));
      for (const method of new Set(wanted.map(({ changed }) => changed))) hear({ method, params: {} });
    }
  }

  /** Each server by itself; those that grant nothing are left out. Rejects where it is the only one. */
  private async subscribe(
    uris: readonly string[],
    hear: (note: Note) => void,
    signal: AbortSignal,
    ended: () => void,
  ): Promise<string[]> {
    const byMember = new Map<Member, string[]>();
    for (const uri of new Set(uris)) {
      const member = await this.ownerOf(uri);
      if (member) byMember.set(member, [...(byMember.get(member) ?? []), uri]);
    }
    const alone = byMember.size === 1;
    const granted = [...byMember].map(async ([member, list]) => {
      const deadline = Deadline.in(alone ? SUBSCRIBE_ALONE_MS : SUBSCRIBE_MS, signal);
      const mine = new AbortController();
      const until = AbortSignal.any([signal, mine.signal]);
      const asked = this.partOf(member).listen({ resourceSubscriptions: list }, hear, until, ended);
      try {
        return (await deadline.race(`subscribing at ${member.name}`, asked)).resourceSubscriptions ?? [];
      } catch (error) {
        mine.abort();
        asked.catch(() => {});
        if (alone) throw Fault.from(error);
        return [];
      }
    });
    return (await Promise.all(granted)).flat();
  }
}
