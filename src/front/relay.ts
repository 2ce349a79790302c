/**
 * The client's end of a front: its requests, their answers, the end of its input. What it writes is kept while there is
 * no session (starting, or opening a new one after the last has ended); the server's end is link.ts.
 */
import { LIMITS } from "../../bridge/wire.ts";
import { Fault } from "../base/fault.ts";
import type { ProgressView } from "../model/views.ts";
import type { Session } from "../transport/session.ts";
import { Conversation, type ConversationOptions } from "./conversation.ts";
import { Link } from "./link.ts";
import { errorAnswer, waitingTokens, progressNotice, sentence } from "./messages.ts";
import type { Opening } from "./opening.ts";
import { ClientOutput, readClient } from "./stdio.ts";

/** What the client may write before the server is there; then it is held back. */
const BUFFER_BYTES_MAX = LIMITS.queueBytes;
/** After the client has ended its input, a server that says nothing for this long is given up. */
const QUIET_MS = 1_500;
/** A client that falls back to another handshake after an error does so within this time. */
const LINGER_MS = 1_000;
/** A client that has not said a word yet is waited for this long with the reason of the failure. */
const SILENT_CLIENT_MS = 60_000;
/** After SIGTERM answers that are on their way still arrive within this time. */
const TERMINATE_MS = 500;

const NEWLINE = 0x0a;

export class Relay {
  private readonly conversation: Conversation;
  private readonly link: Link;
  private readonly output: ClientOutput;
  private readonly outcome = Promise.withResolvers<number>();
  private exitCode = 0;
  private buffer: Uint8Array[] = [];
  private bufferedBytes = 0;
  /** The first session gets bytes as they come; others get whole lines, since one may end in the middle of a line. */
  private whole = false;
  /** There was no session yet, and the manifest answers what it can. */
  private recalling = false;
  private progressCount = 0;
  private inputEnded = false;
  /** Monotonic milliseconds; set when the client ends its input. */
  private endsAt = 0;
  private lastByte = NEWLINE;
  /** Resolves when a full buffer or a full connection has room again. */
  private room: PromiseWithResolvers<void> | undefined;
  private held = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    opening: Pick<Opening, "open" | "cancel" | "giveUp" | "idleMs" | "epitaph">,
    options: ConversationOptions,
    private readonly warn: (message: string) => void,
  ) {
    this.output = new ClientOutput(() => this.leave(0));
    this.conversation = new Conversation(options);
    const events = {
      deliver: (session: Session, range: Uint8Array | string) => this.deliver(session, range),
      progress: (progress: ProgressView) => this.progress(progress),
      opened: (session: Session) => this.opened(session),
      drained: () => this.makeRoom(),
      interrupted: (fault: Fault, undelivered: readonly Uint8Array[]) => this.interrupted(fault, undelivered),
      resting: (fault: Fault) => this.resting(fault),
      over: (fault: Fault, exitCode: number) => this.over(fault, exitCode),
      wanted: () => !this.inputEnded,
    };
    this.link = new Link(opening, this.conversation, events, warn);
    options.manifest?.on({ learned: () => this.learned() });
  }

  /** Resolves with the exit code when nothing more is to be done for this client. */
  async run(): Promise<number> {
    void readClient((chunk) => this.fromClient(chunk)).then(() => this.inputEnd());
    this.link.start();
    const code = await this.outcome.promise;
    clearTimeout(this.timer);
    return code;
  }

  /** SIGTERM, SIGINT: what is in flight gets a short time, then an error. */
  terminate(): void {
    this.exitCode = 0;
    this.inputEnded = true;
    const { current } = this.link;
    if (!current || this.conversation.size === 0) return this.giveUp("the client's side was told to end");
    current.finish();
    this.setTimer(TERMINATE_MS, () => this.giveUp("the client's side was told to end"));
  }

  /** Everything written is in the client's pipe. */
  async flushed(): Promise<void> {
    await this.output.drained;
  }

  private fromClient(chunk: Uint8Array): Promise<void> | undefined {
    this.lastByte = chunk[chunk.byteLength - 1] ?? this.lastByte;
    const { link, conversation } = this;
    switch (link.state) {
      case "open":
        return this.send(chunk);
      case "starting":
        if (this.whole) return this.keep(this.recall(conversation.take(chunk)));
        conversation.passed(chunk);
        return this.keep([chunk]);
      case "reviving":
        return this.keep(this.recall(conversation.take(chunk)));
      case "resting": {
        const lines = this.recall(conversation.take(chunk));
        if (conversation.size > 0 && link.wake()) return this.keep(lines);
        conversation.countLines();
        return void this.answerAll(link.fault);
      }
      case "over":
        conversation.passed(chunk);
        return void this.answerLast(link.fault);
    }
  }

  private send(chunk: Uint8Array): Promise<void> | undefined {
    const { conversation } = this;
    const session = this.link.current;
    if (!session) return;
    let writable = true;
    if (this.whole) for (const range of conversation.take(chunk)) writable = session.write(range);
    else {
      writable = session.write(chunk);
      conversation.passed(chunk);
    }
    session.countSent(conversation.countLines());
    return writable ? undefined : this.waitForRoom();
  }

  /** What has come so far for a session that is not there yet. A promise holds the client back. */
  private keep(chunks: readonly Uint8Array[]): Promise<void> | undefined {
    for (const chunk of chunks) {
      this.buffer.push(chunk);
      this.bufferedBytes += chunk.byteLength;
    }
    if (this.bufferedBytes >= BUFFER_BYTES_MAX) return this.waitForRoom();
    return this.recalling ? this.output.drained : undefined;
  }

  /** It is known what the server will answer to some questions: those are not kept for it. */
  private learned(): void {
    if (this.link.state !== "starting") return;
    const chunks = this.buffer;
    // A line that is not whole yet is with the conversation, and will come from there.
    this.forgetBuffer();
    this.whole = this.recalling = true;
    this.link.recalled();
    if (!this.keep(this.recall(chunks))) this.makeRoom();
    if (this.inputEnded && this.conversation.size === 0) this.leave(this.exitCode);
  }

  /** Whole lines of the client without those that could be answered without a server. */
  private recall(lines: Uint8Array[]): Uint8Array[] {
    if (!this.recalling) return lines;
    const { rest, answers } = this.conversation.recall(lines);
    if (answers) this.output.write(answers);
    return rest;
  }

  private opened(session: Session): void {
    this.recalling = false;
    for (const line of this.conversation.again()) {
      session.write(line);
      session.countSent(1);
    }
    for (const chunk of this.buffer) session.write(chunk);
    session.countSent(this.conversation.countLines());
    this.forgetBuffer();
    // What the bridge has not taken yet says so when it is taken.
    if (session.queuedBytes === 0) this.makeRoom();
    if (this.inputEnded) this.finish(session);
  }

  private deliver(session: Session, range: Uint8Array | string): void {
    const writable = this.output.write(range);
    if (this.inputEnded) this.expectAnswer();
    if (writable || this.held) return;
    this.held = true;
    session.pause();
    void this.output.drained?.then(() => {
      this.held = false;
      session.resume();
    });
  }

  /** The client has ended its input: it will ask nothing more. What it has asked is still answered. */
  private inputEnd(): void {
    // A last line without its newline is a line too.
    if (this.lastByte !== NEWLINE) void this.fromClient(Buffer.from("\n"));
    this.inputEnded = true;
    this.endsAt = performance.now() + LIMITS.drainMs;
    const { state, current } = this.link;
    if (state === "over" || this.conversation.size === 0) return this.leave(this.exitCode);
    if (current) this.finish(current);
    else this.setTimer(LIMITS.drainMs, () => this.giveUp("the server did not start in time"));
  }

  private finish(session: Session): void {
    session.finish();
    this.expectAnswer();
  }

  private expectAnswer(): void {
    const ms = Math.max(0, Math.min(QUIET_MS, this.endsAt - performance.now()));
    this.setTimer(ms, () => this.giveUp(QUIET));
  }

  /** What was under way has lost its server; what comes from now on is for the next one. */
  private interrupted(fault: Fault, undelivered: readonly Uint8Array[]): void {
    this.whole = true;
    const { unanswered, notices, again } = this.conversation.ended(undelivered);
    void this.keep(again);
    if (notices) this.output.write(notices);
    this.answer(unanswered, fault);
    this.makeRoom();
  }

  private resting(fault: Fault): void {
    this.forgetBuffer();
    this.answerAll(fault);
    this.makeRoom();
    if (this.inputEnded) this.leave(this.exitCode);
  }

  /** There will be no session: whoever asks is told why, for as long as somebody may ask. */
  private over(fault: Fault, exitCode: number): void {
    this.exitCode = exitCode;
    this.forgetBuffer();
    // After the end of its input a server is expected to end, by signal if need be.
    if (this.inputEnded && this.conversation.size === 0 && exitCode === 0) return this.leave(0);
    this.warn(sentence(fault));
    this.setTimer(this.conversation.requests === 0 ? SILENT_CLIENT_MS : LINGER_MS, () => this.leave(exitCode));
    this.answerLast(fault);
    this.makeRoom();
    if (this.inputEnded) this.leave(exitCode);
  }

  /** Ends without waiting for more: what is unanswered gets an error that says why. */
  private giveUp(reason: string): void {
    this.answerAll(
      this.link.fault ?? new Fault("cancelled", `${reason}; whether the request was carried out is not known`),
    );
    this.leave(this.exitCode);
  }

  /** A client that was told why there will be no server may ask once more in another way, then it is over. */
  private answerLast(fault: Fault | undefined): void {
    if (this.answerAll(fault)) this.setTimer(LINGER_MS, () => this.leave(this.exitCode));
  }

  /** Whether there was anything to answer. */
  private answerAll(fault: Fault | undefined): boolean {
    return this.answer(this.conversation.takeUnanswered(), fault ?? new Fault("cancelled", "the session has ended"));
  }

  private answer(ids: readonly string[], fault: Fault): boolean {
    if (ids.length > 0) this.output.write(ids.map((id) => errorAnswer(id, fault)).join(""));
    return ids.length > 0;
  }

  private progress(progress: ProgressView): void {
    if (this.link.state !== "starting") return;
    this.progressCount += 1;
    for (const { token, opening } of waitingTokens(this.buffer)) {
      // Below all that the server itself may report: it never runs backwards.
      const share = opening ? this.progressCount : -1 / this.progressCount;
      this.output.write(progressNotice(token, share, progress));
    }
  }

  private leave(code: number): void {
    this.link.close();
    this.outcome.resolve(code);
  }

  private forgetBuffer(): void {
    this.buffer = [];
    this.bufferedBytes = 0;
  }

  private waitForRoom(): Promise<void> {
    this.room ??= Promise.withResolvers<void>();
    return this.room.promise;
  }

  private makeRoom(): void {
    this.room?.resolve();
    this.room = undefined;
  }

  private setTimer(ms: number, then: () => void): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(then, ms);
  }
}

const QUIET = `the client has ended its input and the server did not answer within ${QUIET_MS} ms`;
