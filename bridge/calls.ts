/** Which requests wait for an answer, in one direction of one session. Pure. */
import { type IdKey } from "./envelope.ts";

/** Bounds of what is remembered: a client that floods must not fill the bridge's memory. */
const CALLS_MAX = 65_536;
const ID_CHARS_MAX = 1_024;

export class Calls {
  /** How often an id is open: two requests with one id in flight break the specification, but each gets its answer. */
  private readonly open = new Map<IdKey, number>();
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** Why the request cannot be let through, or undefined when it is noted. */
  begin(id: IdKey): string | undefined {
    if (typeof id === "string" && id.length > ID_CHARS_MAX) return `the id is longer than ${ID_CHARS_MAX} characters`;
    if (this.count >= CALLS_MAX) return `${CALLS_MAX} requests wait for an answer already`;
    this.count++;
    this.open.set(id, (this.open.get(id) ?? 0) + 1);
    return undefined;
  }

  /** Whether an answer with this id was awaited; it is not any more. */
  settle(id: IdKey): boolean {
    const times = this.open.get(id);
    if (times === undefined) return false;
    this.count--;
    if (times === 1) this.open.delete(id);
    else this.open.set(id, times - 1);
    return true;
  }

  /** The ids of all open requests, each as often as it is open; none is open afterwards. */
  takeAll(): IdKey[] {
    const ids: IdKey[] = [];
    for (const [id, times] of this.open) for (let i = 0; i < times; i++) ids.push(id);
    this.open.clear();
    this.count = 0;
    return ids;
  }
}
