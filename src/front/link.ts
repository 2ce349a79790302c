/**
 * The server's end of a front: one session after the other, each brought to where the last one was. It is starting,
 * open, reviving (the last session has ended, the next one is on its way), resting (too many starts were of no use, or
 * the server is not wanted), or over (there was never a conversation that could go on).
 */
import { Deadline, sleep } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ProgressView } from "../model/views.ts";
import type { Session, SessionEnd } from "../transport/session.ts";
import type { Conversation } from "./conversation.ts";
import { faultOf } from "./ending.ts";
import { sentence } from "./messages.ts";
import type { Opening } from "./opening.ts";
import { Pace, type Step } from "./pace.ts";
import { Repose } from "./repose.ts";
import { isStopped } from "./stopped.ts";

/** A new server process answers the handshake that an earlier one has answered within this time. */
const HANDSHAKE_MS = 30_000;
/** The first process may have more to do: nobody knows yet what is usual for this server. */
const FIRST_HANDSHAKE_MS = 300_000;
/** What the client asks while a session is opened again is held for so long, then answered with the reason. */
const HOLD_MS = 30_000;
/** The bridge says that a server has ended, and closes the connection within this time. */
const WITHHELD_MS = 500;

/** Trying again at once would end in the same way. */
const LASTING: ReadonlySet<string> = new Set([
  "usage",
  "invalid",
  "unauthenticated",
  "forbidden",
  "not-found",
  "conflict",
  "unsupported",
  "exhausted",
  "internal",
]);

const AT_ONCE: Step = { kind: "start", afterMs: 0 };

export type LinkState = "starting" | "open" | "reviving" | "resting" | "over";

export interface LinkEvents {
  /** Whole lines for the client. */
  deliver(session: Session, range: Uint8Array | string): void;
  progress(progress: ProgressView): void;
  /** A session is there: what the client has written meanwhile can go. */
  opened(session: Session): void;
  drained(): void;
  /** The session has ended; the next one is on its way. `undelivered`: what no server was given. */
  interrupted(fault: Fault, undelivered: readonly Uint8Array[]): void;
  /** Nobody serves for now: what is asked gets this for an answer. */
  resting(fault: Fault): void;
  /** Nobody will serve any more. */
  over(fault: Fault, exitCode: number): void;
  /** Whether the client is there and may ask for more. */
  wanted(): boolean;
}

export class Link {
  state: LinkState = "starting";
  /** Why nobody serves; set while resting and when over. */
  fault: Fault | undefined;
  private session: Session | undefined;
  private readonly pace = new Pace();
  private openedAt = 0;
  private restsUntil = 0;
  private reviving = false;
  private joining: PromiseWithResolvers<void> | undefined;
  private readonly repose: Repose;
  private withheld: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly opening: Pick<Opening, "open" | "cancel" | "giveUp" | "idleMs" | "epitaph">,
    private readonly conversation: Conversation,
    private readonly events: LinkEvents,
    private readonly warn: (message: string) => void,
  ) {
    this.repose = new Repose(conversation, () => this.giveUp());
  }

  /** The session that the client's bytes go to. */
  get current(): Session | undefined {
    return this.state === "open" ? this.session : undefined;
  }

  private get over(): boolean {
    return this.state === "over";
  }

  start(): void {
    this.open().then(
      (session) => {
        if (this.state === "over") return session.detach();
        if (this.conversation.holding) return void this.revive(undefined, AT_ONCE, session);
        this.opened(session);
        session.open(this.handlers(session));
      },
      (error) => {
        const fault = Fault.from(error);
        if (!this.conversation.holding || !this.conversation.repeatable) return this.finish(fault, fault.faces.exit);
        // The client believes that there is a server: it is told why there is none when it asks, and a later one tries again.
        this.restsUntil = performance.now() + this.pace.rest().ms;
        this.rest(fault);
      },
    );
  }

  /** The client has been answered without a session: from now on the first one is like those that follow another. */
  recalled(): void {
    this.conversation.holding = true;
  }

  /** Somebody asks while nobody serves: whether a new session is on its way because of that. */
  wake(): boolean {
    if (this.reviving || this.state !== "resting" || performance.now() < this.restsUntil) return false;
    this.state = "reviving";
    void this.revive(this.fault, AT_ONCE);
    return true;
  }

  /** The end, from the client's side. Idempotent. */
  close(): void {
    this.state = "over";
    this.repose.end();
    clearTimeout(this.withheld);
    this.opening.cancel();
    this.session?.detach();
  }

  private open(): Promise<Session> {
    return this.opening.open((progress) => this.events.progress(progress));
  }

  private opened(session: Session): void {
    this.repose.begin(this.opening.idleMs);
    this.session = session;
    this.openedAt = performance.now();
    this.state = "open";
    this.fault = undefined;
    this.conversation.holding = false;
    this.events.opened(session);
  }

  private handlers(session: Session) {
    return {
      bytes: (range: Uint8Array) => this.fromServer(session, range),
      drained: () => this.events.drained(),
      ended: (end: SessionEnd) => this.ended(session, end),
    };
  }

  private fromServer(session: Session, range: Uint8Array): void {
    const { conversation } = this;
    if (!conversation.filtering) {
      this.events.deliver(session, range);
      return conversation.received(range);
    }
    for (const passed of conversation.filter(range)) this.events.deliver(session, passed);
    if (conversation.withholds) this.releaseLater(session);
  }

  /** An error of the bridge was kept back because the session is about to end. If it does not, the error is one. */
  private releaseLater(session: Session): void {
    clearTimeout(this.withheld);
    this.withheld = setTimeout(() => {
      if (session !== this.session) return;
      for (const line of this.conversation.release()) this.events.deliver(session, line);
    }, WITHHELD_MS);
  }

  private ended(session: Session, end: SessionEnd): void {
    if (session !== this.session) return;
    this.session = undefined;
    if (this.joining) return this.joining.reject(faultOf(end));
    if (this.state !== "open") return;
    const fault = faultOf(end, this.opening.epitaph);
    if (end.why === "detached" || !this.events.wanted() || !this.conversation.repeatable) {
      return this.finish(fault, this.exitCode(end, fault));
    }
    this.state = "reviving";
    this.warn(`${sentence(fault)}; opening a new session`);
    this.conversation.holding = true;
    this.events.interrupted(fault, end.why === "exit" ? end.undelivered : []);
    void this.revive(fault, this.pace.next(this.conversation.served, performance.now() - this.openedAt));
  }

  /** Nobody serves until somebody asks; the client notices nothing. */
  private giveUp(): void {
    const { session } = this;
    if (!session || this.state !== "open" || !this.events.wanted()) return;
    this.session = undefined;
    session.detach();
    this.opening.giveUp();
    this.conversation.holding = true;
    this.fault = GIVEN_UP;
    this.events.interrupted(GIVEN_UP, []);
    this.restsUntil = 0;
    this.state = "resting";
  }

  private exitCode(end: SessionEnd, fault: Fault): number {
    // A client that asks no more gets an answer to all that it has asked: there is nothing left that could fail.
    if (end.why === "detached" || !this.events.wanted()) return 0;
    return end.why === "exit" && end.report.code === 0 ? 0 : fault.faces.exit;
  }

  /** `opened`: a session that is there already and has to be told what the client was told. */
  private async revive(reason: Fault | undefined, first: Step, opened?: Session): Promise<void> {
    let session = opened;
    let fault = reason;
    let step = first;
    this.reviving = true;
    const hold = setTimeout(() => this.rest(fault), opened ? FIRST_HANDSHAKE_MS : HOLD_MS);
    try {
      while (step.kind === "start") {
        await sleep(step.afterMs);
        if (this.over) return;
        try {
          const [next, withinMs] = session ? [session, FIRST_HANDSHAKE_MS] : [await this.open(), HANDSHAKE_MS];
          session = undefined;
          return await this.join(next, withinMs);
        } catch (error) {
          if (this.over) return;
          fault = Fault.from(error);
          step = LASTING.has(fault.kind) ? this.pace.rest() : this.pace.next(false, 0);
        }
      }
    } finally {
      clearTimeout(hold);
      this.reviving = false;
    }
    // Somebody's wish may change at any moment; it costs nothing to ask again.
    this.restsUntil = performance.now() + (fault && isStopped(fault) ? 0 : step.ms);
    this.rest(fault);
  }

  /** Tells a new server process what the client has told the last one; then it is the client's. */
  private async join(session: Session, withinMs: number): Promise<void> {
    if (this.state === "over") return session.detach();
    const joining = (this.joining = Promise.withResolvers<void>());
    this.session = session;
    const opening = this.conversation.begin({
      ready: (lines) => {
        session.write(Buffer.from(lines));
        session.countSent(lines.split("\n").length - 1);
        joining.resolve();
      },
      failed: (why) => {
        const fault = new Fault("conflict", `the server was started again, but ${why}`, RECONNECT);
        // An error for the handshake may be the bridge's, and the better reason on its way: that the server has ended.
        setTimeout(() => joining.reject(fault), WITHHELD_MS);
      },
      notice: (line) => this.events.deliver(session, line),
      complain: (what) => this.warn(`${what} could not be set up again with the new server process`),
    });
    if (opening) {
      session.write(opening);
      session.countSent(1);
    } else joining.resolve();
    session.open(this.handlers(session));
    try {
      await Deadline.in(withinMs).race("the handshake with the new server process", joining.promise);
    } catch (error) {
      this.session = undefined;
      session.detach();
      throw error;
    } finally {
      this.joining = undefined;
    }
    this.opened(session);
  }

  private rest(fault: Fault | undefined): void {
    if (this.state === "over") return;
    this.state = "resting";
    this.fault = fault ?? new Fault("unreachable", "there is no session with the server");
    this.warn(sentence(this.fault));
    this.events.resting(this.fault);
  }

  private finish(fault: Fault, exitCode: number): void {
    if (this.state === "over") return;
    this.state = "over";
    this.fault = fault;
    this.events.over(fault, exitCode);
  }
}

const GIVEN_UP = new Fault("unreachable", "the session was given up: nothing was asked for a while");
const RECONNECT = { hint: "Reconnect the client to begin anew." };
