/** Messages that are sent in one turn of the event loop leave in one write. */

/** Longer ones, and many, leave at once: their writer is to hear in time that it has to wait. UTF-16 units; messages. */
const LONG = 16 * 1024;
const MANY = 128;

export class Outbox {
  private lines: string[] = [];

  constructor(private readonly write: (bytes: Uint8Array) => void) {}

  /** No newline in it. */
  push(message: string): void {
    if (this.lines.length === 0) queueMicrotask(() => this.flush());
    this.lines.push(message);
    if (message.length > LONG || this.lines.length === MANY) this.flush();
  }

  flush(): void {
    if (this.lines.length === 0) return;
    const text = `${this.lines.join("\n")}\n`;
    this.lines = [];
    this.write(Buffer.from(text));
  }
}
