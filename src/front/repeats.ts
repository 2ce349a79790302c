/**
 * Calls that are made again when their server ends in the middle of them, where that was asked for and the tool itself
 * says that a second call does no harm. Each call is made again once. Pure: no I/O.
 */
import * as v from "valibot";
import type { IdKey } from "../../bridge/envelope.ts";
import { parseJson } from "./messages.ts";
import { textOf } from "./setup.ts";

const CALL_BYTES_MAX = 1024 * 1024;
/** All calls that are kept together. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

export class Repeats {
  private readonly kept = new Map<IdKey, Uint8Array>();
  private keptBytes = 0;
  /** Calls whose server has ended, to be made again. */
  private failed: IdKey[] = [];
  /** The errors that the client is not given for them, unless the session goes on. */
  private errors = new Map<IdKey, Uint8Array>();

  /** `isRepeatable`: whether the tool of that name may be called twice. */
  constructor(private readonly isRepeatable: (tool: string) => boolean) {}

  /** A request of the client. */
  sent(id: IdKey, bytes: Uint8Array, start: number, end: number): void {
    if (end - start > CALL_BYTES_MAX || this.keptBytes + end - start > KEPT_BYTES_MAX) return;
    const message = v.safeParse(call, parseJson(textOf(bytes, start, end)));
    if (!message.success || !this.isRepeatable(message.output.params.name)) return;
    this.forget(id);
    this.kept.set(id, bytes.slice(start, end + 1));
    this.keptBytes += end - start + 1;
  }

  /** An answer. Whether it is the bridge's word that the server has ended, and the call is made again instead. */
  answered(id: IdKey, error: boolean, bytes: Uint8Array, start: number, end: number): boolean {
    if (error && this.kept.has(id) && v.is(serverFailed, parseJson(textOf(bytes, start, end)))) {
      this.errors.set(id, bytes.slice(start, end + 1));
      return true;
    }
    this.forget(id);
    return false;
  }

  get withholds(): boolean {
    return this.errors.size > 0;
  }

  /** The session goes on: the server itself has said what only the bridge says. */
  release(settle: (id: IdKey) => void): Uint8Array[] {
    const lines = [...this.errors.values()];
    for (const id of this.errors.keys()) {
      settle(id);
      this.forget(id);
    }
    this.errors.clear();
    return lines;
  }

  /** The request is answered or given up by other means. */
  forget(id: IdKey): void {
    this.keptBytes -= this.kept.get(id)?.byteLength ?? 0;
    this.kept.delete(id);
  }

  /** The session has ended with these requests unanswered: the ids of those that need no error now. */
  ended(open: Iterable<IdKey>): Set<IdKey> {
    const spared = new Set<IdKey>();
    for (const id of open) if (this.kept.has(id)) spared.add(id);
    this.failed = [...spared];
    this.errors.clear();
    return spared;
  }

  /** The lines that are to be sent to the new process. A second failure is final. */
  take(): Uint8Array[] {
    const lines = this.failed.flatMap((id) => this.kept.get(id) ?? []);
    for (const id of this.failed) this.forget(id);
    this.failed = [];
    return lines;
  }
}

const call = v.object({ method: v.literal("tools/call"), params: v.object({ name: v.string() }) });
const serverFailed = v.object({ error: v.object({ data: v.object({ kind: v.literal("server-failed") }) }) });
