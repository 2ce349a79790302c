/** How much one principal may ask for: requests a second (a bucket of tokens) and requests at once. Pure, given a clock. */
import { Fault } from "../../base/fault.ts";

export interface LimitOptions {
  /** Requests a second in the long run; no bound when absent. */
  rate?: number | undefined;
  /** Requests that may come at once after a pause; as many as come in two seconds when absent. */
  burst?: number | undefined;
  /** Requests that are being answered, streams included. */
  concurrent: number;
}

/** Those that have asked for nothing lately are forgotten beyond so many. */
const PRINCIPALS_MAX = 10_000;

interface Account {
  tokens: number;
  at: number;
  running: number;
}

export class Limits {
  private readonly accounts = new Map<string, Account>();
  private readonly burst: number;

  constructor(
    private readonly options: LimitOptions,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.burst = options.burst ?? Math.max(1, (options.rate ?? 0) * 2);
  }

  /** Counts a request in, or says why not: then nothing was counted. Fault: `exhausted`, with `retryAfterS`. */
  enter(principal: string): Fault | undefined {
    const account = this.account(principal);
    const { concurrent } = this.options;
    if (account.running >= concurrent) {
      return new Fault("exhausted", `more than ${concurrent} requests at once`, { data: { retryAfterS: 1 } });
    }
    const full = this.take(principal);
    if (!full) account.running += 1;
    return full;
  }

  /** Counts a request that comes on a connection which was counted in already. */
  take(principal: string): Fault | undefined {
    const account = this.account(principal);
    const { rate } = this.options;
    if (rate !== undefined) {
      const now = this.now();
      account.tokens = Math.min(this.burst, account.tokens + ((now - account.at) / 1000) * rate);
      account.at = now;
      if (account.tokens < 1) {
        const retryAfterS = Math.max(1, Math.ceil((1 - account.tokens) / rate));
        return new Fault("exhausted", `more than ${rate} requests a second`, { data: { retryAfterS } });
      }
      account.tokens -= 1;
    }
    return undefined;
  }

  /** Counts what has come together with a request that was counted: it is let in, and whoever sent it waits afterwards. */
  charge(principal: string, count: number): void {
    if (this.options.rate !== undefined) this.account(principal).tokens -= count;
  }

  /** The end of what was counted in. */
  leave(principal: string): void {
    const account = this.accounts.get(principal);
    if (account) account.running -= 1;
  }

  private account(principal: string): Account {
    const found = this.accounts.get(principal);
    if (found) return found;
    if (this.accounts.size >= PRINCIPALS_MAX) this.forget();
    const made = { tokens: this.burst, at: this.now(), running: 0 };
    this.accounts.set(principal, made);
    return made;
  }

  /** Whose bucket is full again and who has nothing running is as one that never came. */
  private forget(): void {
    const { rate } = this.options;
    const fullAfterMs = rate === undefined ? 0 : (this.burst / rate) * 1000;
    for (const [principal, { at, running }] of this.accounts) {
      if (running === 0 && this.now() - at >= fullAfterMs) this.accounts.delete(principal);
    }
  }
}
