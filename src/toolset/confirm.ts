/**
 * One-time tokens for destructive calls. A token stands for one tool, its arguments and the plan that was shown: when
 * any of them has changed meanwhile, it is worth nothing.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Plan } from "./tool.ts";

/** How long somebody may think about a plan, ms. */
export const CONFIRM_MS = 300_000;
/** Plans that wait for a confirmation; the oldest is forgotten. */
const PENDING_MAX = 256;

interface Pending {
  digest: string;
  /** By the monotonic clock. */
  endsAt: number;
}

/** What a token stands for. */
export interface Wish {
  /** Whoever asked: a token is nothing in anybody else's hands. */
  who: string;
  tool: string;
  args: unknown;
  plan: Plan;
}

export class Confirmations {
  private readonly pending = new Map<string, Pending>();

  /** `now`: ms of a clock that only goes forward. */
  constructor(private readonly now: () => number = () => performance.now()) {}

  mint(wish: Wish): string {
    const token = randomBytes(16).toString("base64url");
    this.pending.set(token, { digest: digestOf(wish), endsAt: this.now() + CONFIRM_MS });
    const [oldest] = this.pending.keys();
    if (this.pending.size > PENDING_MAX && oldest !== undefined) this.pending.delete(oldest);
    return token;
  }

  /** Whether the token was given for exactly this. It is used up either way. */
  redeem(token: string, wish: Wish): boolean {
    const found = this.pending.get(token);
    this.pending.delete(token);
    return found !== undefined && this.now() < found.endsAt && found.digest === digestOf(wish);
  }

  /** Somebody has said no. */
  forget(token: string): void {
    this.pending.delete(token);
  }
}

/** Sizes are left out: a log that grows between plan and confirmation changes nothing about what goes. */
function digestOf({ who, tool, args, plan }: Wish): string {
  const targets = plan.objects.map(({ kind, id, name }) => [kind, id, name].join("\0")).sort();
  return createHash("sha256")
    .update(JSON.stringify([who, tool, canonical(args), targets]))
    .digest("hex");
}

/** Objects with their keys in order, so that equal arguments are equal text. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, one]) => [key, canonical(one)]);
}
