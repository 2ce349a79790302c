/**
 * A TCP connection without a network: the near end is the carrier of a LinkSocket, the far end the socket of a bridge's
 * connection. Bytes move when the test says so, and only so many; it can break in every way in which a connection can.
 */
import type { Bridge } from "../../../bridge/bridge.ts";
import type { ClientSocket } from "../../../bridge/client.ts";
import { Connection } from "../../../bridge/connection.ts";
import { LinkSocket } from "../../../src/transport/socket.ts";

/** What the system holds in one direction before a writer has to wait. */
const CAPACITY = 64 * 1024;
/** An end that is told nothing notices it by keepalive. */
const KEEPALIVE_MS = 25_000;

export type Direction = "up" | "down";
/**
 * `reset`, `end`: both ends notice at once. `silence`: neither does. `near`, `far`: only that end does, and what it had
 * sent before may still arrive at the other.
 */
export const CUTS = ["reset", "end", "silence", "near", "far"] as const;
export type How = (typeof CUTS)[number];

class Way {
  chunks: Buffer[] = [];
  bytes = 0;
  /** The writer was told that not all was taken. */
  blocked = false;
  /** What follows the bytes. */
  last: "nothing" | "end" | "reset" | "told" = "nothing";
  /** Nothing arrives any more. */
  dead = false;
  /** The reader asks for nothing. */
  paused = false;
  readerGone = false;
  writerGone = false;

  put(bytes: Uint8Array): number {
    if (this.writerGone) return -1;
    const taken = Math.min(bytes.length, CAPACITY - this.bytes);
    if (taken > 0) this.chunks.push(Buffer.from(new Uint8Array(bytes.subarray(0, taken))));
    this.bytes += Math.max(0, taken);
    if (taken < bytes.length) this.blocked = true;
    return Math.max(0, taken);
  }

  /** A reset overtakes what was sent before it. */
  reset(): void {
    this.take(this.bytes);
    this.last = "reset";
  }

  take(most: number): Buffer {
    const all = Buffer.concat(this.chunks);
    const part = Buffer.from(new Uint8Array(all.subarray(0, most)));
    const rest = all.subarray(part.length);
    this.chunks = rest.length > 0 ? [rest] : [];
    this.bytes = rest.length;
    return part;
  }
}

export class Wire {
  readonly link = new LinkSocket();
  private readonly up = new Way();
  private readonly down = new Way();
  private readonly far: Connection;

  constructor(bridge: Bridge) {
    const { up, down } = this;
    this.far = new Connection(this.farSocket(), bridge);
    this.link.adopt({
      write: (bytes) => up.put(bytes as Uint8Array),
      pause: () => void (down.paused = true),
      resume: () => void (down.paused = false),
      shutdown: () => void (up.last = "end"),
      end: () => {
        up.last = "end";
        this.nearGone();
        return 0;
      },
      terminate: () => {
        this.nearGone();
        up.reset();
      },
      setKeepAlive: () => true,
      setNoDelay: () => true,
    } as Parameters<LinkSocket["adopt"]>[0]);
  }

  /** Something is on its way and can arrive. */
  get busy(): boolean {
    return (["up", "down"] as const).some((direction) => {
      const way = this[direction];
      const waits = way.bytes > 0 || way.last === "end" || way.last === "reset";
      return waits && !way.dead && !way.paused && !way.readerGone;
    });
  }

  deliver(direction: Direction, most: number): void {
    const way = this[direction];
    if (way.dead || way.paused || way.readerGone) return;
    const part = way.take(most);
    if (part.length > 0) {
      if (direction === "up") this.far.data(part);
      else this.link.received(part);
    }
    if (way.bytes === 0 && !way.paused) this.deliverLast(direction, way);
    if (!way.blocked || way.bytes === CAPACITY || way.writerGone) return;
    way.blocked = false;
    if (direction === "up") this.link.flush();
    else this.far.drain();
  }

  cut(how: How): void {
    const { up, down } = this;
    if (how === "silence") {
      up.dead = down.dead = true;
      setTimeout(() => this.cut("reset"), KEEPALIVE_MS);
      return;
    }
    if (how === "reset" || how === "near") {
      this.nearGone();
      this.link.finish(new Error("read ECONNRESET"));
    }
    if (how === "reset" || how === "far") this.farGone();
    if (how === "near" || how === "far") {
      (how === "near" ? down : up).dead = true;
      setTimeout(() => this.cut("reset"), KEEPALIVE_MS);
    }
    if (how !== "end") return;
    up.take(up.bytes);
    down.take(down.bytes);
    up.dead = down.dead = true;
    this.link.ended();
    if (!up.readerGone) this.far.end();
    setTimeout(() => this.cut("reset"), KEEPALIVE_MS);
  }

  private deliverLast(direction: Direction, way: Way): void {
    const { last } = way;
    if (last === "nothing" || last === "told" || way.readerGone) return;
    way.last = "told";
    if (direction === "up") {
      if (last === "end") this.far.end();
      else this.farGone();
    } else if (last === "end") this.link.ended();
    else this.link.finish(new Error("read ECONNRESET"));
  }

  private nearGone(): void {
    this.up.writerGone = this.down.readerGone = true;
  }

  private farGone(): void {
    if (this.down.writerGone) return;
    this.down.writerGone = this.up.readerGone = true;
    this.far.closed();
  }

  private farSocket(): ClientSocket {
    const { up, down } = this;
    // The close event comes after the call that caused it.
    const gone = () => queueMicrotask(() => this.farGone());
    return {
      remoteAddress: "127.0.0.1",
      write: (bytes: Uint8Array) => down.put(bytes),
      pause: () => void (up.paused = true),
      resume: () => void (up.paused = false),
      shutdown: () => void (down.last = "end"),
      end: () => {
        down.last = "end";
        gone();
      },
      terminate: () => {
        down.reset();
        gone();
      },
    } as unknown as ClientSocket;
  }
}
