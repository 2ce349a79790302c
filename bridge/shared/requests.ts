/** The requests in flight at a shared server, under the bridge's own numbers. Pure. */
import type { IdKey } from "../envelope.ts";
import type { Edit } from "./gather.ts";
import type { Guest } from "./guest.ts";
import type { Message } from "./message.ts";

/**
 * A server may go on with a request that was cancelled, and may or may not answer it. So long it counts as the client's
 * when the server asks something, and its answer is still passed on.
 */
const CANCELLED_MS = 60_000;

export interface Request {
  /** Absent: the bridge's own. */
  owner?: Guest;
  /** The client's id. */
  key: IdKey;
  method: string;
  /** The client's progress token, as it was written. */
  token?: string;
  /** A 2026-07-28 request that wants log messages. */
  logs?: boolean;
  /** When it was cancelled, on the monotonic clock. */
  cancelledAt?: number;
  /** Called with the answer before it is passed on, absent where it means nothing to the bridge; what is replaced in it. */
  answered?: (answer: Message, request: Request) => Edit[];
}

export class Requests {
  private readonly open = new Map<number, Request>();
  private readonly cancelled = new Set<number>();
  private last = 0;

  get size(): number {
    return this.open.size;
  }

  begin(request: Request): number {
    const number = ++this.last;
    this.open.set(number, request);
    request.owner?.requests.set(request.key, number);
    return number;
  }

  get(number: IdKey | undefined): Request | undefined {
    return typeof number === "number" ? this.open.get(number) : undefined;
  }

  /** The request is over; undefined if it was not known. */
  settle(number: IdKey): Request | undefined {
    const request = this.get(number);
    if (!request || typeof number !== "number") return undefined;
    this.open.delete(number);
    this.cancelled.delete(number);
    const { owner, key } = request;
    if (owner?.requests.get(key) === number) owner.requests.delete(key);
    return request;
  }

  cancel(number: number, now: number): void {
    const request = this.open.get(number);
    if (!request) return;
    request.cancelledAt = now;
    this.cancelled.add(number);
  }

  /** The requests of one client that are not cancelled. */
  of(guest: Guest): [number, Request][] {
    return [...this.open].filter(([, { owner, cancelledAt }]) => owner === guest && cancelledAt === undefined);
  }

  /** The clients on whose behalf the server may ask something. */
  askers(): Set<Guest> {
    const askers = new Set<Guest>();
    for (const { owner, method } of this.open.values()) if (owner && !QUIET.has(method)) askers.add(owner);
    return askers;
  }

  /** The clients with a 2026-07-28 request that wants log messages. */
  loggers(): Set<Guest> {
    const loggers = new Set<Guest>();
    for (const { owner, logs } of this.open.values()) if (owner && logs) loggers.add(owner);
    return loggers;
  }

  /** Forgets requests that were cancelled long ago; they are returned. */
  sweep(now: number): Request[] {
    const over: Request[] = [];
    for (const number of this.cancelled) {
      const { cancelledAt = now } = this.open.get(number) ?? {};
      if (now - cancelledAt < CANCELLED_MS) break;
      const request = this.settle(number);
      if (request) over.push(request);
    }
    return over;
  }
}

/** The request of the 2026-07-28 era that stays open while notifications come. */
export const LISTEN = "subscriptions/listen";

/** Requests that need nobody's word: one only listens, the other the bridge itself sends to see whether the server is well. */
const QUIET: ReadonlySet<string> = new Set([LISTEN, "ping"]);
