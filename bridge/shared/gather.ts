/** Pieces of lines for one reader, joined to one write per chunk: a write for each line would cost more than all else. */
import type { Span } from "./json.ts";
import type { Message } from "./message.ts";

/** What is written instead of the bytes at a span. */
export interface Edit extends Span {
  text: string;
}

export class Gather {
  private pieces: Uint8Array[] = [];

  /** A line of ours, its newline included. */
  text(line: string): void {
    this.pieces.push(Buffer.from(line));
  }

  /** A message with what is replaced in it, in the order of the places. Its newline is added. */
  message({ bytes, start, end }: Pick<Message, "bytes" | "start" | "end">, edits: readonly Edit[]): void {
    let at = start;
    for (const edit of edits) {
      this.pieces.push(bytes.subarray(at, edit.start), Buffer.from(edit.text));
      at = edit.end;
    }
    this.pieces.push(bytes.subarray(at, end), NEWLINE);
  }

  /** All that was gathered since the last time, in memory of its own. */
  take(): Uint8Array | undefined {
    if (this.pieces.length === 0) return undefined;
    const bytes = Buffer.concat(this.pieces);
    this.pieces = [];
    return bytes;
  }
}

const NEWLINE = Buffer.from("\n");

/** In the order of their places, as `message` takes them. */
export function inOrder(...edits: (Edit | undefined)[]): Edit[] {
  return edits.filter((edit) => edit !== undefined).sort((a, b) => a.start - b.start);
}
