/** A JSON-RPC batch, which only 2025-03-26 has: its answers go back together, as one array. */
import type { Id, Message } from "./message.ts";

export class Batch {
  private readonly waiting = new Set<Id | null>();
  private readonly answers: string[] = [];

  constructor(
    messages: readonly Message[],
    private readonly send: (text: string) => void,
  ) {
    for (const message of messages) {
      if (message.kind === "request" || message.kind === "broken") this.waiting.add(message.id);
    }
  }

  /** Answers are still to come. */
  get open(): boolean {
    return this.waiting.size > 0;
  }

  /** Whether the answer belongs to this batch; then it is kept for the others. */
  answer(about: Id | undefined, text: string): boolean {
    if (!this.waiting.delete(about ?? null)) return false;
    this.answers.push(text);
    this.sendIfDone();
    return true;
  }

  unanswered(about: Id): boolean {
    if (!this.waiting.delete(about)) return false;
    this.sendIfDone();
    return true;
  }

  private sendIfDone(): void {
    if (!this.open && this.answers.length > 0) this.send(`[${this.answers.join(",")}]`);
  }
}
