/**
 * Splits what a bridge sends into payload (forwarded as ranges of the chunks that came, never copied) and control
 * frames (taken out by a prefix compare at the start of a line). Pure: no I/O.
 */
import { CONTROL_PREFIX, LIMITS } from "../../bridge/wire.ts";

const PREFIX = Buffer.from(CONTROL_PREFIX);
const NEWLINE = 0x0a;

export interface InboundEvents {
  /** A range of payload: any number of whole lines, maybe with a part of a line at either end. */
  payload(range: Uint8Array): void;
  /** A control frame without its newline. */
  control(line: string): void;
  /** A control frame is longer than the wire allows; nothing more can be read. */
  overlong(): void;
}

export class Inbound {
  /** JSON-RPC messages received completely. */
  messages = 0;
  private atLineStart = true;
  /** The first bytes of a line that may still turn out to be a control frame; shorter than the prefix. */
  private held: Uint8Array | undefined;
  /** The parts of the control frame being received, or undefined between frames. */
  private frame: Uint8Array[] | undefined;
  private frameBytes = 0;

  constructor(private readonly events: InboundEvents) {}

  push(received: Uint8Array): void {
    const chunk = this.held ? Buffer.concat([this.held, received]) : received;
    this.held = undefined;
    let payloadFrom = 0;
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.frame) {
        at = this.takeFrame(chunk, at);
        if (at < 0) return;
        payloadFrom = at;
        continue;
      }
      const match = this.atLineStart ? prefixAt(chunk, at) : "no";
      if (match !== "no") {
        if (at > payloadFrom) this.events.payload(chunk.subarray(payloadFrom, at));
        if (match === "partly") {
          this.held = chunk.subarray(at);
          return;
        }
        this.frame = [];
        this.frameBytes = 0;
        continue;
      }
      const newline = chunk.indexOf(NEWLINE, at);
      this.atLineStart = newline >= 0;
      if (newline < 0) break;
      this.messages += 1;
      at = newline + 1;
    }
    if (payloadFrom < chunk.byteLength) this.events.payload(payloadFrom === 0 ? chunk : chunk.subarray(payloadFrom));
  }

  /** Takes bytes of a control frame; returns where the next line begins, or -1 when nothing more is to be read. */
  private takeFrame(chunk: Uint8Array, from: number): number {
    const newline = chunk.indexOf(NEWLINE, from);
    const end = newline < 0 ? chunk.byteLength : newline;
    const parts = this.frame ?? [];
    parts.push(chunk.subarray(from, end));
    this.frameBytes += end - from;
    if (this.frameBytes > LIMITS.controlBytes) {
      this.events.overlong();
      return -1;
    }
    if (newline < 0) return chunk.byteLength;
    this.frame = undefined;
    this.events.control(Buffer.concat(parts).toString());
    return newline + 1;
  }
}

/** Whether the control prefix stands there: whole, cut off by the end of the chunk, or not. */
function prefixAt(chunk: Uint8Array, at: number): "whole" | "partly" | "no" {
  for (let index = 0; index < PREFIX.byteLength; index += 1) {
    if (at + index >= chunk.byteLength) return "partly";
    if (chunk[at + index] !== PREFIX[index]) return "no";
  }
  return "whole";
}
