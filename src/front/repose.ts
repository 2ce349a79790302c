/**
 * Notices that a client has asked nothing for so long that its session is better given up: the server may then be stopped
 * for others, and the next request opens another session. Costs the path of the messages nothing: it looks from time to
 * time.
 */

/** What is looked at. */
interface Seen {
  /** Requests of the client so far. */
  readonly requests: number;
  /** Nothing is under way or kept up, in either direction. */
  readonly quiet: boolean;
}

/** Looks within the time: a session is given up at most this part of it too late. */
const LOOKS = 4;
const LOOK_MIN_MS = 50;

export class Repose {
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly conversation: Seen,
    private readonly giveUp: () => void,
  ) {}

  /** A session has begun. Without a time it is never given up. */
  begin(idleMs: number | undefined): void {
    this.end();
    if (idleMs === undefined) return;
    let asked = this.conversation.requests;
    let since = performance.now();
    const look = () => {
      const { requests, quiet } = this.conversation;
      const now = performance.now();
      if (!quiet || requests !== asked) {
        asked = requests;
        since = now;
      } else if (now - since >= idleMs) {
        this.end();
        this.giveUp();
      }
    };
    this.timer = setInterval(look, Math.max(LOOK_MIN_MS, idleMs / LOOKS));
    this.timer.unref();
  }

  end(): void {
    clearInterval(this.timer);
  }
}
