/** Long lists in pages, with cursors of our own. A page is of the list as it was when its first page was asked for. */
import type { Item, Kind } from "./offer.ts";

/** Many clients never ask for a second page, so the first one takes in what a message can carry. */
const PAGE_ITEMS = 1_000;
const PAGE_CHARS = 4 * 1024 * 1024;
/** Lists that somebody may still be reading. */
const KEPT = 8;

export interface Page {
  items: Item[];
  nextCursor?: string;
}

export class Pages {
  private readonly kept = new Map<string, { kind: Kind; items: readonly Item[] }>();
  private count = 0;

  first(kind: Kind, items: readonly Item[]): Page {
    return this.cut(kind, items, 0, undefined);
  }

  /** Undefined where the cursor is none of ours, or too old. */
  next(kind: Kind, cursor: string): Page | undefined {
    const [id = "", offset = ""] = cursor.split(".");
    const list = this.kept.get(id);
    if (list?.kind !== kind || !/^\d{1,9}$/.test(offset)) return undefined;
    return this.cut(kind, list.items, Number(offset), id);
  }

  private cut(kind: Kind, items: readonly Item[], from: number, known: string | undefined): Page {
    let chars = 0;
    let to = from;
    for (const item of items.slice(from, from + PAGE_ITEMS)) {
      chars += JSON.stringify(item).length;
      if (chars > PAGE_CHARS && to > from) break;
      to += 1;
    }
    const page = { items: items.slice(from, to) };
    if (to >= items.length) return page;
    return { ...page, nextCursor: `${known ?? this.keep(kind, items)}.${to}` };
  }

  private keep(kind: Kind, items: readonly Item[]): string {
    const id = `p${(this.count += 1)}`;
    this.kept.set(id, { kind, items });
    for (const old of this.kept.keys()) if (this.kept.size > KEPT) this.kept.delete(old);
    return id;
  }
}
