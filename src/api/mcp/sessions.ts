/** The sessions of legacy clients over HTTP: found by id and principal, bounded, ended when nobody uses them. */
import { randomBytes } from "node:crypto";
import { Fault } from "../../base/fault.ts";
import { type Caller, sameCaller } from "./callers.ts";
import { SESSION_OVER } from "./session.ts";
import { Refusal } from "./refusal.ts";

export const SESSIONS_PER_PRINCIPAL_MAX = 32;
export const SESSION_IDLE_MS = 30 * 60_000;
const SWEEP_MS = 60_000;
const ID_BYTES = 24;

/** What the registry needs to know of a session. */
export interface Session {
  readonly id: string;
  /** Whose it is, with the credentials that hold for longest. */
  readonly caller: Caller;
  readonly target: string;
  /** Of `performance.now()`. */
  usedAt: number;
  readonly quiet: boolean;
  /** Takes away what has no end of its own; what is being answered may end. */
  drain(): void;
  /** The client has newer credentials: it lasts as long as they do. */
  renew(caller: Caller): void;
  close(): Promise<void>;
}

export class SessionRegistry<S extends Session> {
  private readonly sessions = new Map<string, S>();
  private readonly sweeper = setInterval(() => this.sweep(), SWEEP_MS);

  constructor() {
    this.sweeper.unref();
  }

  get size(): number {
    return this.sessions.size;
  }

  /**
   * Makes room for one more of the principal: the one that was not used for longest has to go, since many clients never
   * end a session. Fault: `exhausted` where all are in use.
   */
  admit(caller: Caller, make: (id: string, onClose: () => void) => S): S {
    const own = [...this.sessions.values()].filter((one) => one.caller.principal === caller.principal);
    if (own.length >= SESSIONS_PER_PRINCIPAL_MAX) {
      const oldest = own.filter((one) => one.quiet).sort((a, b) => a.usedAt - b.usedAt)[0];
      if (!oldest) {
        throw new Fault("exhausted", `${SESSIONS_PER_PRINCIPAL_MAX} sessions are in use already`, {
          hint: "End one with DELETE.",
        });
      }
      // It is out of the way at once; what it has opened ends when it can.
      void oldest.close();
    }
    const id = randomBytes(ID_BYTES).toString("base64url");
    const session = make(id, () => this.sessions.delete(id));
    this.sessions.set(id, session);
    return session;
  }

  /** Throws a `Refusal` (404) also for a session of somebody else: an id is not a credential, and its being there no news. */
  get(id: string, caller: Caller, target: string): S {
    const session = this.sessions.get(id);
    if (!session || !sameCaller(session.caller, caller) || session.target !== target) {
      throw new Refusal(404, SESSION_OVER, "there is no such session; send initialize again");
    }
    session.usedAt = performance.now();
    if (caller.endsAt > session.caller.endsAt) session.renew(caller);
    return session;
  }

  drain(): void {
    for (const session of this.sessions.values()) session.drain();
  }

  async close(): Promise<void> {
    clearInterval(this.sweeper);
    await Promise.all([...this.sessions.values()].map((session) => session.close()));
  }

  private sweep(): void {
    const now = performance.now();
    for (const session of this.sessions.values()) {
      if (session.quiet && now - session.usedAt >= SESSION_IDLE_MS) void session.close();
    }
  }
}
