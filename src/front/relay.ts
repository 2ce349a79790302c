/**
 * One client's way to one server: starting (what the client writes is kept), open (bytes pass), over (every request is
 * answered with the reason, then the front ends). A front goes through these states once and in this order.
 */
import { LIMITS } from "../../bridge/wire.ts";
import { Fault } from "../base/fault.ts";
import type { ProgressView } from "../model/views.ts";
import type { Session, SessionEnd } from "../transport/session.ts";
import { InFlight } from "./in-flight.ts";
import { errorAnswer, openingTokens, progressNotice, sentence } from "./messages.ts";
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
  private readonly inFlight = new InFlight();
  private readonly output: ClientOutput;
  private readonly outcome = Promise.withResolvers<number>();
  private session: Session | undefined;
  /** Why there is no session (any more). */
  private fault: Fault | undefined;
  private exitCode = 0;
  private buffer: Uint8Array[] = [];
  private bufferedBytes = 0;
  private progressCount = 0;
  private inputEnded = false;
  /** The outcome is clear; whatever comes now comes too late. */
  private left = false;
  /** Monotonic milliseconds; set when the client ends its input. */
  private endsAt = 0;
  private lastByte = NEWLINE;
  /** Resolves when a full buffer or a full connection has room again. */
  private room: PromiseWithResolvers<void> | undefined;
  private holding = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly opening: Pick<Opening, "open" | "cancel">,
    private readonly warn: (message: string) => void,
  ) {
    this.output = new ClientOutput(() => this.leave(0));
  }

  /** Resolves with the exit code when nothing more is to be done for this client. */
  async run(): Promise<number> {
    void readClient((chunk) => this.fromClient(chunk)).then(() => this.inputEnd());
    this.opening
      .open((progress) => this.progress(progress))
      .then(
        (session) => (this.left ? session.detach() : this.opened(session)),
        (error) => this.left || this.over(Fault.from(error), Fault.from(error).faces.exit),
      );
    const code = await this.outcome.promise;
    clearTimeout(this.timer);
    return code;
  }

  /** SIGTERM, SIGINT: what is in flight gets a short time, then an error. */
  terminate(): void {
    this.exitCode = 0;
    this.inputEnded = true;
    if (this.session && !this.fault && this.inFlight.size > 0) {
      this.session.finish();
      this.setTimer(TERMINATE_MS, () => this.giveUp("the client's side was told to end"));
    } else {
      this.giveUp("the client's side was told to end");
    }
  }

  /** Everything written is in the client's pipe. */
  async flushed(): Promise<void> {
    await this.output.drained;
  }

  private fromClient(chunk: Uint8Array): Promise<void> | undefined {
    this.lastByte = chunk[chunk.byteLength - 1] ?? this.lastByte;
    const { session } = this;
    if (this.fault || !session) {
      this.inFlight.sent(chunk);
      if (this.fault) return void this.answerAll(this.fault);
      this.buffer.push(chunk);
      this.bufferedBytes += chunk.byteLength;
      return this.bufferedBytes >= BUFFER_BYTES_MAX ? this.waitForRoom() : undefined;
    }
    const before = this.inFlight.messages;
    const writable = session.write(chunk);
    this.inFlight.sent(chunk);
    session.countSent(this.inFlight.messages - before);
    return writable ? undefined : this.waitForRoom();
  }

  private opened(session: Session): void {
    this.session = session;
    for (const chunk of this.buffer) session.write(chunk);
    session.countSent(this.inFlight.messages);
    this.buffer = [];
    session.open({
      bytes: (range) => this.fromServer(session, range),
      drained: () => this.makeRoom(),
      ended: (end) => this.ended(end),
    });
    if (session.queuedBytes === 0) this.makeRoom();
    if (this.inputEnded) this.finish(session);
  }

  private fromServer(session: Session, range: Uint8Array): void {
    const writable = this.output.write(range);
    this.inFlight.received(range);
    if (this.inputEnded) this.expectAnswer();
    if (writable || this.holding) return;
    this.holding = true;
    session.pause();
    void this.output.drained?.then(() => {
      this.holding = false;
      session.resume();
    });
  }

  /** The client has ended its input: it will ask nothing more. What it has asked is still answered. */
  private inputEnd(): void {
    // A last line without its newline is a line too.
    if (this.lastByte !== NEWLINE) void this.fromClient(Buffer.from("\n"));
    this.inputEnded = true;
    this.endsAt = performance.now() + LIMITS.drainMs;
    if (this.fault || this.inFlight.size === 0) return this.leave(this.exitCode);
    if (this.session) this.finish(this.session);
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

  private ended(end: SessionEnd): void {
    if (end.why === "detached") return this.giveUp("the session has ended");
    if (end.why === "lost") return this.over(lost(end.fault), end.fault.faces.exit);
    const { code, signal, reason, stderr } = end.report;
    // After the end of its input a server is expected to end, by signal if need be.
    if (this.inputEnded && this.inFlight.size === 0) return this.leave(0);
    const fault = new Fault("server-failed", reason, { data: { code, signal, oom: end.report.oom, stderr } });
    this.over(fault, code === 0 ? 0 : fault.faces.exit);
  }

  /** There is no session and there will be none: whoever asks is told why, for as long as somebody may ask. */
  private over(fault: Fault, exitCode: number): void {
    this.fault = fault;
    this.exitCode = exitCode;
    this.buffer = [];
    this.warn(sentence(fault));
    this.setTimer(this.inFlight.requests === 0 ? SILENT_CLIENT_MS : LINGER_MS, () => this.leave(exitCode));
    this.answerAll(fault);
    this.makeRoom();
    if (this.inputEnded) this.leave(exitCode);
  }

  /** Ends without waiting for more: what is unanswered gets an error that says why. */
  private giveUp(reason: string): void {
    this.fault ??= new Fault("cancelled", `${reason}; whether the request was carried out is not known`);
    this.answerAll(this.fault);
    this.leave(this.exitCode);
  }

  private answerAll(fault: Fault): void {
    const ids = this.inFlight.take();
    if (ids.length === 0) return;
    this.output.write(ids.map((id) => errorAnswer(id, fault)).join(""));
    this.setTimer(LINGER_MS, () => this.leave(this.exitCode));
  }

  private progress(progress: ProgressView): void {
    if (this.fault) return;
    this.progressCount += 1;
    const notices = openingTokens(this.buffer).map((token) => progressNotice(token, this.progressCount, progress));
    if (notices.length > 0) this.output.write(notices.join(""));
  }

  private leave(code: number): void {
    this.left = true;
    this.fault ??= new Fault("cancelled", "the session has ended");
    this.opening.cancel();
    this.session?.detach();
    this.outcome.resolve(code);
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

/** The same fault, saying what a lost connection means for a request that was under way. */
function lost(fault: Fault): Fault {
  return new Fault(fault.kind, `${fault.message}; whether the request was carried out is not known`, {
    ...(fault.hint === undefined ? {} : { hint: fault.hint }),
    ...(fault.data === undefined ? {} : { data: fault.data }),
    cause: fault,
  });
}
