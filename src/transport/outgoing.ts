/**
 * The sending half of a session over all its connections: bytes in order, kept until the bridge has them, and control
 * frames only between two messages. No protocol beyond that.
 */
import { Replay } from "../../bridge/replay.ts";
import { formatFrame, LIMITS } from "../../bridge/wire.ts";
import type { Connection } from "./dial.ts";

type Frame = Parameters<typeof formatFrame>[0];

const NEWLINE = 0x0a;

export class Outgoing {
  /** Absent while the connection is broken. */
  private connection: Connection | undefined;
  private readonly replay: Replay;
  /** Frames that wait for the end of a message: the last of each kind, which says all that the earlier ones said. */
  private readonly waiting = new Map<Frame["link"], Frame>();
  private midLine = false;
  /** When something was last given to a connection: what tells the bridge that we are there. Monotonic milliseconds. */
  private saidAt = performance.now();

  /** `keeps`: what is written is kept for a resume. `messageBytes`: the longest message that the bridge takes. */
  constructor(
    connection: Connection,
    private readonly keeps: boolean,
    private readonly messageBytes: number,
  ) {
    this.connection = connection;
    this.replay = new Replay(messageBytes);
  }

  /** More is kept than even a writer that does not wait may leave here. */
  get overflown(): boolean {
    return this.keptBytes > 2 * LIMITS.replayBytes + this.messageBytes;
  }

  /** Something is on its way that the bridge has not acknowledged. */
  get unacknowledged(): boolean {
    return this.replay.sent > this.replay.dropped;
  }

  /** Whether a writer may go on. */
  get writable(): boolean {
    return this.connection !== undefined && this.connection.queuedBytes === 0 && this.keptBytes < LIMITS.replayBytes;
  }

  /** For so long the bridge has heard nothing, because half a message keeps every frame back. */
  get muteMs(): number {
    return this.waiting.size > 0 ? performance.now() - this.saidAt : 0;
  }

  write(bytes: Uint8Array): void {
    if (this.waiting.size > 0 && bytes.includes(NEWLINE)) return this.writeAround(bytes);
    // First what the far end waits for, then the books.
    this.connection?.write(bytes);
    if (this.keeps) this.replay.add(bytes);
    if (bytes.length === 0) return;
    this.midLine = bytes[bytes.length - 1] !== NEWLINE;
    if (this.midLine) this.saidAt = performance.now();
  }

  /** At once, or behind the message that is under way. */
  send(frame: Frame): void {
    if (this.midLine) this.waiting.set(frame.link, frame);
    else this.connection?.send(frame);
  }

  /** Ends a message that was left without its newline, as the end of the stream would. */
  endLine(): void {
    if (this.midLine) this.write(Buffer.from("\n"));
  }

  /** The bridge has so many messages. False: it claims more than were sent. */
  acknowledge(received: number): boolean {
    return !this.keeps || this.replay.acknowledge(received);
  }

  /** What the bridge has not said that it has; nothing where nothing is kept. */
  pending(): Uint8Array[] {
    return this.keeps ? this.replay.pending() : [];
  }

  detach(): void {
    this.connection = undefined;
    // They were for that connection.
    this.waiting.clear();
  }

  /** Another connection, whose bridge has `received` messages. False: the session cannot go on there. */
  attach(connection: Connection, received: number): boolean {
    if (received < this.replay.dropped || !this.replay.acknowledge(received)) return false;
    this.connection = connection;
    for (const range of this.replay.pending()) connection.write(range);
    this.saidAt = performance.now();
    return true;
  }

  /** Kept bytes of whole messages: the one under way cannot be acknowledged yet, so nobody must wait for that. */
  private get keptBytes(): number {
    return this.replay.keptBytes - this.replay.openBytes;
  }

  private writeAround(bytes: Uint8Array): void {
    const end = bytes.indexOf(NEWLINE) + 1;
    const frames = [...this.waiting.values()];
    this.waiting.clear();
    this.write(bytes.subarray(0, end));
    for (const frame of frames) this.connection?.send(frame);
    if (end < bytes.length) this.write(bytes.subarray(end));
  }
}
