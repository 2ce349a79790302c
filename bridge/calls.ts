/** Which requests wait for an answer, in one direction of one session. Pure. */
import { type IdKey } from "./envelope.ts";

/** Bounds of what is remembered: a client that floods must not fill the bridge's memory. */
const CALLS_MAX = 65_536;
const ID_CHARS_MAX = 1_024;
const CANCELLED_MAX = 1_024;

export class Calls {
  private readonly open = new Set<IdKey>();
  /** Ids that are open more than once, as often again: against the specification, but each gets its answer. */
  private readonly again: IdKey[] = [];
  /** Given up by whoever asked; the answer may be on its way already. */
  private readonly cancelled = new Set<IdKey>();

  get size(): number {
    return this.open.size + this.again.length;
  }

  /** Why the request cannot be let through, or undefined when it is noted. */
  begin(id: IdKey): string | undefined {
    if (typeof id === "string" && id.length > ID_CHARS_MAX) return `the id is longer than ${ID_CHARS_MAX} characters`;
    const { size } = this.open;
    if (size + this.again.length >= CALLS_MAX) return `${CALLS_MAX} requests wait for an answer already`;
    this.open.add(id);
    this.cancelled.delete(id);
    if (this.open.size === size) this.again.push(id);
    return undefined;
  }

  /** Whether an answer with this id was awaited; it is not any more. */
  settle(id: IdKey): boolean {
    if (this.again.length > 0) {
      const index = this.again.indexOf(id);
      if (index >= 0) return this.again.splice(index, 1).length === 1;
    }
    return this.open.delete(id) || this.cancelled.delete(id);
  }

  /** Nobody waits for the answer any more. Whether anybody did. */
  cancel(id: IdKey): boolean {
    if (!this.open.delete(id)) return false;
    const [oldest] = this.cancelled;
    if (this.cancelled.size >= CANCELLED_MAX && oldest !== undefined) this.cancelled.delete(oldest);
    this.cancelled.add(id);
    return true;
  }

  /** The ids of all open requests, each as often as it is open; none is open afterwards. */
  takeAll(): IdKey[] {
    const ids = [...this.open, ...this.again.splice(0)];
    this.open.clear();
    return ids;
  }
}
