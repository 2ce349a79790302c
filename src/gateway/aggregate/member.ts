/** Who is behind the gateway. */
import type { Upstream } from "../exchange.ts";

export interface Member {
  /** What people call it; the logger of its messages. */
  name: string;
  /** Unique: a server's name, or that of its toolsets (filter.ts). */
  id: string;
  /** In front of its names; undefined: they are as they are. */
  prefix: string | undefined;
  /** Changes with what runs under the name. */
  spec: string;
  /** A part of Linkspan itself: it answers at once, nothing of it is stored, and its words are trusted. */
  own: boolean;
  upstream: Upstream;
}

export interface Roster {
  /** In an order that does not change by itself. */
  list(): Member[];
  /** Called when one was added, removed or defined anew. Returns how to stop that. */
  onChange(listener: () => void): () => void;
  /** Called with the id of one that has come to run. Returns how to stop that. */
  onReady(listener: (id: string) => void): () => void;
}
