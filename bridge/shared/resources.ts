/** Who has subscribed to which resource. Pure. */
import type { Guest } from "./guest.ts";

export class Resources {
  private readonly subscribers = new Map<string, Set<Guest>>();

  /** From the request on, so that nobody else's end of a subscription comes between it and its answer. */
  add(guest: Guest, uri: string): void {
    const guests = this.subscribers.get(uri);
    if (guests) guests.add(guest);
    else this.subscribers.set(uri, new Set([guest]));
  }

  /** True if nobody is left. */
  remove(guest: Guest, uri: string): boolean {
    const guests = this.subscribers.get(uri);
    if (!guests?.delete(guest) || guests.size > 0) return guests === undefined;
    this.subscribers.delete(uri);
    return true;
  }

  has(guest: Guest, uri: string): boolean {
    return this.subscribers.get(uri)?.has(guest) === true;
  }

  /** Who else needs the subscription. */
  hasOthers(guest: Guest, uri: string): boolean {
    const guests = this.subscribers.get(uri);
    return guests !== undefined && guests.size > (guests.has(guest) ? 1 : 0);
  }

  /** The client has left: the resources that nobody is subscribed to any more. */
  leave(guest: Guest): string[] {
    return [...this.subscribers.keys()].filter(
      (uri) => this.subscribers.get(uri)?.has(guest) && this.remove(guest, uri),
    );
  }

  /** Who is told of a change: of what was subscribed to, or of a part of it, which a server may name (MCP, "resources"). */
  readers(changed: string): Set<Guest> {
    const exact = this.subscribers.get(changed);
    if (exact) return exact;
    const readers = new Set<Guest>();
    for (const [uri, guests] of this.subscribers)
      if (isPart(changed, uri)) for (const guest of guests) readers.add(guest);
    return readers;
  }
}

function isPart(uri: string, whole: string): boolean {
  if (!uri.startsWith(whole)) return false;
  return whole.endsWith("/") || "/?#".includes(uri.charAt(whole.length));
}
