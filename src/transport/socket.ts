/**
 * One connection to a bridge: the first address that accepts, writes that never queue without bound unnoticed, and
 * exactly one `closed` event. Knows nothing of lines or frames.
 */
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";

/** Where a bridge listens; the same shape as the runtime's addresses. */
export type Endpoint = { kind: "tcp"; host: string; port: number } | { kind: "unix"; path: string };

/**
 * One address gets at most this long, so that a dead one does not use up the time of the next. The kernel sends a lost first
 * packet again after a second; a container that is gone swallows all of them, and its server may have another address by then.
 */
export const CONNECT_MS = 1_500;

export interface SocketEvents {
  data(chunk: Uint8Array): void;
  /** All that was written has been taken by the kernel, after a `write` that returned false. */
  drained(): void;
  /** The last event. `error` is set when the connection broke instead of ending. */
  closed(error: Error | undefined): void;
}

/** Connects to the first endpoint that accepts. Faults: `unreachable` with every attempt's reason, `timeout`, `cancelled`. */
export async function connect(endpoints: readonly Endpoint[], deadline: Deadline): Promise<LinkSocket> {
  const failures: string[] = [];
  for (const [index, endpoint] of endpoints.entries()) {
    const share = Math.min(CONNECT_MS, deadline.remainingMs / (endpoints.length - index));
    try {
      return await connectOne(endpoint, deadline.within(share));
    } catch (error) {
      if (error instanceof Fault && error.kind === "cancelled") throw error;
      failures.push(`${describe(endpoint)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Fault(
    "unreachable",
    failures.length === 0 ? "the server has no address to connect to" : `cannot connect to ${failures.join("; ")}`,
  );
}

async function connectOne(endpoint: Endpoint, deadline: Deadline): Promise<LinkSocket> {
  const link = new LinkSocket();
  // The far end may finish sending before we have: its end of stream must not cut our half.
  const allowHalfOpen = true;
  const socket: Bun.SocketHandler<undefined> = {
    data: (_socket, chunk) => link.received(chunk),
    drain: () => link.flush(),
    end: () => link.ended(),
    close: (_socket, error) => link.finish(error ?? undefined),
    error: (_socket, error) => link.finish(error),
  };
  const opening =
    endpoint.kind === "unix"
      ? Bun.connect({ unix: endpoint.path, allowHalfOpen, socket })
      : Bun.connect({ hostname: endpoint.host, port: endpoint.port, allowHalfOpen, socket });
  try {
    link.adopt(await deadline.race("the connection", opening));
    return link;
  } catch (error) {
    // A connection that is made after we have given up must not stay open.
    opening.then(
      (late) => late.terminate(),
      () => {},
    );
    throw error;
  }
}

function describe(endpoint: Endpoint): string {
  return endpoint.kind === "unix" ? endpoint.path : `${endpoint.host}:${endpoint.port}`;
}

/** What is used of Bun's socket, whatever data its owner has put on it. */
type Carrier = Pick<
  Bun.Socket,
  "write" | "pause" | "resume" | "shutdown" | "end" | "terminate" | "setKeepAlive" | "setNoDelay"
>;

/** Paused until `open`: nothing is delivered before there is somebody to take it. */
export class LinkSocket {
  private socket: Carrier | undefined;
  private events: SocketEvents | undefined;
  /** What the kernel has not taken yet, in order. */
  private queue: Uint8Array[] = [];
  private queuedBytesNow = 0;
  private ending = false;
  private over = false;
  private error: Error | undefined;
  /** Data that came before `open`, or between a pause and the moment when it takes effect. */
  private early: Uint8Array[] = [];

  get queuedBytes(): number {
    return this.queuedBytesNow;
  }

  get closed(): boolean {
    return this.over;
  }

  adopt(socket: Carrier): void {
    this.socket = socket;
    // A peer that vanished without a word is noticed within half a minute (faults.md: half-open connection).
    socket.setKeepAlive(true, 10_000);
    socket.setNoDelay(true);
  }

  /** Starts delivery. What came before is delivered at once. Called again, it hands the connection to a new owner. */
  open(events: SocketEvents): void {
    this.events = events;
    const early = this.early;
    this.early = [];
    const ended = this.over;
    for (const chunk of early) events.data(chunk);
    if (ended) events.closed(this.error);
  }

  /** True while the writer may go on; after false it waits for `drained`. The bytes are kept, not copied. */
  write(bytes: Uint8Array): boolean {
    if (this.over || this.ending || !this.socket || bytes.byteLength === 0) return !this.over;
    if (this.queue.length > 0) {
      this.enqueue(bytes);
      return false;
    }
    const taken = Math.max(0, this.socket.write(bytes));
    if (taken === bytes.byteLength) return true;
    this.enqueue(bytes.subarray(taken));
    return false;
  }

  pause(): void {
    if (!this.over) this.socket?.pause();
  }

  resume(): void {
    if (!this.over) this.socket?.resume();
  }

  /** Half-close, after all that is queued has been sent; the far end can still answer. */
  end(): void {
    if (this.ending) return;
    this.ending = true;
    if (this.queue.length === 0 && !this.over) this.socket?.shutdown();
  }

  /** Ends at once; what is queued is dropped. */
  destroy(): void {
    if (!this.over) this.socket?.terminate();
    this.finish(undefined);
  }

  received(chunk: Uint8Array): void {
    if (this.events) this.events.data(chunk);
    else this.early.push(chunk);
  }

  flush(): void {
    while (this.queue.length > 0) {
      const [first] = this.queue;
      if (!first || !this.socket) return;
      const taken = Math.max(0, this.socket.write(first));
      this.queuedBytesNow -= taken;
      if (taken < first.byteLength) {
        this.queue[0] = first.subarray(taken);
        return;
      }
      this.queue.shift();
      if (this.queue.length === 0) {
        if (this.ending) this.socket.shutdown();
        this.events?.drained();
      }
    }
  }

  /** The far end sends nothing more. A bridge does so only to end the connection, so ours ends too. */
  ended(): void {
    this.socket?.end();
    this.finish(undefined);
  }

  finish(error: Error | undefined): void {
    if (this.over) return;
    this.over = true;
    this.error = error;
    this.queue = [];
    this.queuedBytesNow = 0;
    this.events?.closed(error);
  }

  private enqueue(bytes: Uint8Array): void {
    this.queue.push(bytes);
    this.queuedBytesNow += bytes.byteLength;
  }
}
