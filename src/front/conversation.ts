/**
 * What is under way between a client and its server, from the bytes that pass: requests without an answer in both
 * directions, and what a new server process has to be told. The bridge answers the client's requests itself when the
 * server ends; the front needs to know them for what the bridge cannot see: a start that fails, a connection, container
 * or manager that is lost. Pure: no I/O.
 *
 * As long as everything passes as it is, bytes are looked at after they were passed on (`passed`, `received`), so that
 * it costs time while the other side works, not latency. `take` and `filter` are for when something has to change.
 */
import { classify, type Envelope, type IdKey, idText } from "../../bridge/envelope.ts";
import { LineSplitter, type OnLine, RangeJoiner } from "../../bridge/lines.ts";
import { LIMITS } from "../../bridge/wire.ts";
import { askedIn, cancelledId, eachLine, hasId, isInitialized } from "./lines.ts";
import type { Manifest } from "./manifest.ts";
import { Questions } from "./questions.ts";
import { Repeats } from "./repeats.ts";
import { Replay, type ReplayEvents } from "./replay.ts";
import { Setup, textOf } from "./setup.ts";

/** Requests that a server never answers (cancelled ones) must not pile up; beyond this the oldest are forgotten. */
const REQUESTS_MAX = 65_536;

export interface ConversationOptions {
  /** Begins the ids that the front gives; nobody else may use it. */
  prefix: string;
  /** Calls of tools that say that it does no harm are made again. */
  repeat: boolean;
  /** What is answered while the server is on its way; nothing when absent. */
  manifest?: Manifest | undefined;
}

export class Conversation {
  /** Requests of the client so far. */
  requests = 0;
  /** The server has answered a request with a result. */
  private established = false;
  /** The same for the present session alone; what is replayed does not count. */
  served = false;
  /** No server process is ready to be told anything; what is taken meanwhile is told to the next one. */
  holding = false;
  /** Lines of the client for the server, whatever is in them, that nobody has counted yet. */
  private lines = 0;
  private readonly setup = new Setup();
  private readonly questions: Questions;
  private readonly repeats: Repeats | undefined;
  private replay: Replay | undefined;
  private readonly ids = new Set<IdKey>();
  private readonly fromClient = new LineSplitter(LIMITS.messageBytesMax, () => {});
  private readonly fromServer = new LineSplitter(LIMITS.messageBytesMax, () => {});
  private readonly joined = new RangeJoiner((range) => this.ranges.push(range));
  private ranges: Uint8Array[] = [];

  constructor(private readonly options: ConversationOptions) {
    this.questions = new Questions(`${options.prefix}q`);
    if (options.repeat) this.repeats = new Repeats((tool) => this.setup.isRepeatable(tool));
  }

  /** Requests of the client without an answer. */
  get size(): number {
    return this.ids.size;
  }

  /** Whether there is a conversation to go on with, and a new server process can be told what this one was told. */
  get repeatable(): boolean {
    const { legacy, openers, unrepeatable } = this.setup;
    // A client of the 2026-07-28 era may begin with what it wants.
    const begun = this.established || (!legacy && this.requests > openers);
    return begun && !unrepeatable;
  }

  /** Nothing is under way or kept up, not even half a line, and a new server process can be told all that there is. */
  get quiet(): boolean {
    const { ids, questions, setup, fromClient } = this;
    return ids.size + questions.size + setup.subscriptions.size + fromClient.pendingBytes === 0 && this.repeatable;
  }

  /** Whether what the server says has to go through `filter`. */
  get filtering(): boolean {
    const { replay, repeats, questions, options } = this;
    return replay !== undefined || repeats !== undefined || !questions.plain || options.manifest?.checking === true;
  }

  /** Bytes of the client that were passed on as they came. They may be kept; they must not be changed. */
  passed(bytes: Uint8Array): void {
    this.fromClient.push(bytes, this.onPassed);
  }

  /** Bytes of the client as ranges of whole lines: what is to be passed on. Half a line is kept for the next time. */
  take(bytes: Uint8Array): Uint8Array[] {
    this.fromClient.push(bytes, this.onTaken);
    return this.takeRanges();
  }

  /** How many lines of the client `passed` and `take` have let through since the last call: the bridge counts the same. */
  countLines(): number {
    const { lines } = this;
    this.lines = 0;
    return lines;
  }

  /** Whole lines of the server that were passed on as they came. */
  received(bytes: Uint8Array): void {
    this.fromServer.push(bytes, this.onReceived);
  }

  /** Whole lines of the server: what the client is to see of them. */
  filter(bytes: Uint8Array): Uint8Array[] {
    this.fromServer.push(bytes, this.onFiltered);
    if (this.replay?.finished) this.replay = undefined;
    return this.takeRanges();
  }

  /** A new server process is there. What it has to be told first; undefined if it needs no telling. */
  begin(events: Omit<ReplayEvents, "heard">): Uint8Array | undefined {
    this.served = false;
    // Of a process that has ended before it was the client's.
    const off = this.questions.ended();
    if (off) events.notice(off);
    const { prefix, manifest } = this.options;
    const heard: ReplayEvents["heard"] = (...answer) => manifest?.replayed(...answer);
    const replay = new Replay(this.setup, `${prefix}r`, { ...events, heard });
    this.replay = replay.opening ? replay : undefined;
    return replay.opening;
  }

  /** An answer was kept back by `filter` because the session seems to end; `release` gives it out if it does not. */
  get withholds(): boolean {
    return this.repeats?.withholds === true;
  }

  release(): Uint8Array[] {
    return this.repeats?.release((id) => this.ids.delete(id)) ?? [];
  }

  /** What is to be asked again, as lines. */
  again(): Uint8Array[] {
    return [...(this.options.manifest?.takeChecks() ?? []), ...(this.repeats?.take() ?? [])];
  }

  /**
   * Whole lines of the client that no server was given: what is left for the server when those are taken out that the
   * manifest answers. `answers` are lines for the client, and count as the server's.
   */
  recall(ranges: readonly Uint8Array[]): { rest: Uint8Array[]; answers: string } {
    const rest: Uint8Array[] = [];
    let answers = "";
    eachLine(ranges, (bytes, start, end) => {
      const answer = this.recallOne(bytes, start, end);
      if (answer === undefined) return void rest.push(bytes.subarray(start, end + 1));
      this.lines -= 1;
      answers += answer;
    });
    return { rest, answers };
  }

  /** Empty: the replay says it. Undefined: it is the server's. */
  private recallOne(bytes: Uint8Array, start: number, end: number): string | undefined {
    const { setup, options } = this;
    const envelope = classify(bytes, start, end);
    if (envelope.kind === "notification") return setup.handshake && isInitialized(bytes, start, end) ? "" : undefined;
    if (envelope.kind !== "request" || !this.ids.has(envelope.id)) return undefined;
    const text = options.manifest?.recall(envelope.id);
    if (text === undefined) return undefined;
    this.onReceived(Buffer.from(text), 0, Buffer.byteLength(text));
    return `${text}\n`;
  }

  /**
   * The session has ended, and of `undelivered` no server knows. `unanswered`: ids of requests that get an error now, as
   * JSON texts, oldest first; they count as answered. `notices`: lines for the client. `again`: lines for the next session.
   */
  ended(undelivered: readonly Uint8Array[] = []): { unanswered: string[]; notices: string; again: Uint8Array[] } {
    this.replay = undefined;
    const { ids: unknown, lines } = askedIn(undelivered, (id) => this.ids.has(id));
    this.lines += lines.length;
    this.setup.ended(unknown);
    this.options.manifest?.ended(unknown);
    const delivered = [...this.ids].filter((id) => !unknown.has(id));
    const repeated = this.repeats?.ended(delivered);
    const ids = delivered.filter((id) => !repeated?.has(id));
    for (const id of ids) this.ids.delete(id);
    return { unanswered: ids.map(idText), notices: this.questions.ended(), again: lines };
  }

  /** The ids of all requests without an answer as JSON texts, oldest first; they count as answered from now on. */
  takeUnanswered(): string[] {
    const ids = [...this.ids];
    for (const id of ids) this.repeats?.forget(id);
    this.ids.clear();
    return ids.map(idText);
  }

  private readonly onPassed: OnLine = (bytes, start, end) => {
    this.note(classify(bytes, start, end), bytes, start, end);
  };

  private readonly onTaken: OnLine = (bytes, start, end) => {
    const envelope = classify(bytes, start, end);
    if (envelope.kind !== "response") {
      const { initialized } = this.setup;
      this.note(envelope, bytes, start, end);
      if (this.holding && initialized !== this.setup.initialized && this.setup.handshake) {
        // The replay says it.
        this.lines -= 1;
        return;
      }
      return this.joined.add(bytes, start, end);
    }
    const outcome = this.questions.answer(envelope.id, () => textOf(bytes, start, end));
    if (outcome === "drop") return;
    this.lines += 1;
    if (outcome === "pass") this.joined.add(bytes, start, end);
    else this.replace(outcome);
  };

  private readonly onReceived: OnLine = (bytes, start, end) => {
    if (hasId(bytes, start, end)) this.settle(classify(bytes, start, end), bytes, start, end);
  };

  private readonly onFiltered: OnLine = (bytes, start, end) => {
    const envelope: Envelope = hasId(bytes, start, end) ? classify(bytes, start, end) : { kind: "notification" };
    if (envelope.kind === "response") {
      const { id, error } = envelope;
      if (this.replay?.answered(id, error, bytes, start, end)) return;
      if (this.options.manifest?.checked(id, error, bytes, start, end)) return;
      if (this.repeats?.answered(id, error, bytes, start, end)) return;
    }
    const replaced = this.settle(envelope, bytes, start, end);
    if (replaced === undefined) this.joined.add(bytes, start, end);
    else this.replace(replaced);
  };

  private note(envelope: Envelope, bytes: Uint8Array, start: number, end: number): void {
    this.lines += 1;
    switch (envelope.kind) {
      case "request": {
        this.add(envelope.id);
        const message = this.setup.sent(envelope.id, bytes, start, end);
        if (message) this.options.manifest?.sent(envelope.id, message);
        return this.repeats?.sent(envelope.id, bytes, start, end);
      }
      case "batch":
        for (const item of envelope.items) if (item.kind === "request") this.add(item.id);
        return;
      case "notification":
        this.setup.sent(undefined, bytes, start, end);
        if (this.ids.size > 0) this.cancel(bytes, start, end);
        return;
      case "response":
        this.questions.answer(envelope.id, () => "");
    }
  }

  private add(id: IdKey): void {
    this.requests += 1;
    this.ids.add(id);
    const [oldest] = this.ids.size > REQUESTS_MAX ? this.ids : [];
    if (oldest !== undefined) this.ids.delete(oldest);
  }

  /** A cancelled request is not answered any more (MCP, "cancellation"), so nobody waits for it. */
  private cancel(bytes: Uint8Array, start: number, end: number): void {
    const id = cancelledId(bytes, start, end);
    if (id === undefined) return;
    this.ids.delete(id);
    this.repeats?.forget(id);
  }

  /** A line of the server. What it becomes where it cannot pass as it is. */
  private settle(envelope: Envelope, bytes: Uint8Array, start: number, end: number): string | undefined {
    if (envelope.kind === "request") return this.questions.ask(envelope.id, () => textOf(bytes, start, end));
    if (envelope.kind === "batch") for (const item of envelope.items) this.settle(item, bytes, start, start);
    if (envelope.kind === "response" && this.ids.delete(envelope.id)) {
      if (!envelope.error) this.established = this.served = true;
      this.setup.answered(envelope.id, envelope.error, bytes, start, end);
      this.options.manifest?.answered(envelope.id, envelope.error, bytes, start, end);
    }
    return undefined;
  }

  private replace(text: string): void {
    const line = Buffer.from(`${text}\n`);
    this.joined.add(line, 0, line.length - 1);
  }

  private takeRanges(): Uint8Array[] {
    this.joined.flush();
    const { ranges } = this;
    this.ranges = [];
    return ranges;
  }
}
