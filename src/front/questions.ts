/**
 * What servers ask the client (sampling, elicitation, roots). A process that has ended takes its questions with it: the
 * client is told, and an answer that still comes must not reach the next process, which counts its ids from the
 * beginning again. Pure: no I/O.
 */
import { type IdKey, idText } from "../../bridge/envelope.ts";

/** Questions that are never answered must not pile up; the oldest are forgotten. */
const OPEN_MAX = 4_096;

export class Questions {
  private readonly open = new Set<IdKey>();
  /** Ids of ended processes that the client may still answer. */
  private readonly stale = new Set<IdKey>();
  /** Ids under which the client knows questions of this process, and how the process wrote them. */
  private readonly renamed = new Map<IdKey, string>();
  private count = 0;

  /** `prefix` begins the ids that are given here; no server may use it. */
  constructor(private readonly prefix: string) {}

  /** Questions that the client has not answered. */
  get size(): number {
    return this.open.size;
  }

  /** Neither side's messages need be looked at for our sake, beyond `ask` and `answer`. */
  get plain(): boolean {
    return this.stale.size === 0;
  }

  /** A question of the server. Undefined: it passes as it is; else its line under another id. */
  ask(id: IdKey, text: () => string): string | undefined {
    const renamed = this.stale.has(id) ? this.rename(id, text()) : undefined;
    this.open.add(renamed?.id ?? id);
    for (const oldest of this.open) {
      if (this.open.size <= OPEN_MAX) break;
      this.open.delete(oldest);
      this.renamed.delete(oldest);
    }
    return renamed?.text;
  }

  /** An answer of the client: pass it on as it is, drop it, or pass on the line that is given instead. */
  answer(id: IdKey, text: () => string): "pass" | "drop" | string {
    this.open.delete(id);
    const original = this.renamed.get(id);
    if (original !== undefined) {
      this.renamed.delete(id);
      return replaceId(text(), original) ?? "drop";
    }
    return this.stale.has(id) ? "drop" : "pass";
  }

  /** The process has ended. Lines that tell the client that its questions are off. */
  ended(): string {
    const lines: string[] = [];
    for (const id of this.open) {
      const params = `{"requestId":${idText(id)},"reason":"the server has ended"}`;
      lines.push(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}\n`);
      this.stale.add(id);
    }
    for (const oldest of this.stale) {
      if (this.stale.size <= OPEN_MAX) break;
      this.stale.delete(oldest);
    }
    this.open.clear();
    this.renamed.clear();
    return lines.join("");
  }

  private rename(id: IdKey, text: string): { id: IdKey; text: string } | undefined {
    const name = `${this.prefix}${(this.count += 1)}`;
    const changed = replaceId(text, JSON.stringify(name));
    if (changed === undefined) return undefined;
    const key = `"${name}`;
    this.renamed.set(key, idText(id));
    return { id: key, text: changed };
  }
}

const ID = /"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|null)/g;

/**
 * The JSON text with another id (a JSON text too) at its top level, and nothing else changed. The place is found by
 * trial: what lies deeper, or in a string, does not change the id that a parser sees.
 */
export function replaceId(text: string, id: string): string | undefined {
  const wanted: unknown = JSON.parse(id);
  const marker = "\u0000linkspan";
  for (const match of text.matchAll(ID)) {
    const [whole, old = ""] = match;
    const at = match.index + whole.length - old.length;
    const before = text.slice(0, at);
    const behind = text.slice(at + old.length);
    if (idOf(`${before}${JSON.stringify(marker)}${behind}`) !== marker) continue;
    const changed = `${before}${id}${behind}`;
    if (idOf(changed) === wanted) return changed;
  }
  return undefined;
}

function idOf(text: string): unknown {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null && "id" in parsed ? parsed.id : undefined;
  } catch {
    return undefined;
  }
}
