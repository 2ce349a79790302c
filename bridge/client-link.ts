/** The way to one client: bytes and frames to it, holding it back, cutting it. What a connection is apart from its stages. */
import type { Bridge } from "./bridge.ts";
import { Client, type ClientSocket } from "./client.ts";
import { type BridgeFrame, formatFrame, LIMITS } from "./wire.ts";

export abstract class ClientLink {
  protected readonly client: Client;

  constructor(
    socket: ClientSocket,
    protected readonly bridge: Bridge,
  ) {
    this.client = new Client(
      socket,
      () => this.emptied(),
      () => this.cutting(`has read nothing for ${LIMITS.stalledMs} ms while its queue is full`),
      () => bridge.queueBytes,
    );
  }

  /** All that was written has been taken, after some had to wait. */
  protected abstract emptied(): void;

  get queuedBytes(): number {
    return this.client.queuedBytes;
  }

  write(bytes: Uint8Array): void {
    this.client.write(bytes);
  }

  send(frame: BridgeFrame): void {
    this.write(encoder.encode(formatFrame(frame)));
  }

  hold(): void {
    this.client.hold();
  }

  drain(): void {
    this.client.drain();
  }

  /** Ends the connection at once, for a reason that belongs into the log. */
  cut(why: string): void {
    this.cutting(why);
    this.terminate();
  }

  terminate(): void {
    this.client.terminate();
  }

  private cutting(why: string): void {
    this.bridge.say(`a client ${why}: it is cut`);
  }
}

const encoder = new TextEncoder();
