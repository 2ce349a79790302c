/** When a receiver says how much it has: often enough that the sender keeps little, rarely enough to cost nothing. */
import { LIMITS } from "./wire.ts";

export class Acks {
  private bytes = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `told`: what the sender knows already. `tell` sends the acknowledgement. */
  constructor(
    private readonly tell: (received: number) => void,
    private told = 0,
    private received = told,
  ) {}

  /** After each chunk: its size, and the messages received since the session began. */
  note(received: number, bytes: number): void {
    this.bytes += bytes;
    this.received = received;
    const messages = received - this.told;
    if (messages === 0) return;
    if (messages >= LIMITS.ackMessages || this.bytes >= LIMITS.ackBytes) this.flush();
    // One timer at a time and never restarted: under traffic that is five wake-ups a second at most.
    else this.timer ??= setTimeout(this.due, LIMITS.ackMs);
  }

  flush(): void {
    if (this.received === this.told) return;
    this.told = this.received;
    this.bytes = 0;
    this.tell(this.received);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.received = this.told;
  }

  private readonly due = (): void => {
    this.timer = undefined;
    this.flush();
  };
}
