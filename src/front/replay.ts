/**
 * Brings a new server process to where the last one was: `initialize` and its answer, then `notifications/initialized`,
 * log level, subscriptions, and a look at the lists that the client knows. Nothing of it reaches the client. Pure.
 */
import type { IdKey } from "../../bridge/envelope.ts";
import { fingerprint, type ListMethod, LISTS, readHandshakeAnswer, type Setup, textOf } from "./setup.ts";

type Asked = { what: string } | { list: ListMethod };

export interface ReplayEvents {
  /** The handshake is done; `lines` are to be written next, then whatever the client has sent. */
  ready(lines: string): void;
  /** The server is not what it was. */
  failed(reason: string): void;
  /** The client is to be told; a line. */
  notice(line: string): void;
  /** Something could not be set up again. */
  complain(what: string): void;
  /** The server's answer to what a client has asked before, too. */
  heard(method: "initialize" | ListMethod, error: boolean, bytes: Uint8Array, start: number, end: number): void;
}

export class Replay {
  private stage: "handshake" | "restoring" = "handshake";
  private readonly asked = new Map<IdKey, Asked>();
  private readonly told = new Set<string>();
  private count = 0;

  /** `prefix` begins the ids of what is asked here; no client may use it. */
  constructor(
    private readonly setup: Setup,
    private readonly prefix: string,
    private readonly events: ReplayEvents,
  ) {}

  /** All that was asked here is answered. */
  get finished(): boolean {
    return this.stage === "restoring" && this.asked.size === 0;
  }

  /** What the server is to be told first; undefined when nothing is to be replayed. */
  get opening(): Uint8Array | undefined {
    return this.setup.handshake?.line;
  }

  /** An answer of the server. Whether it was for us, and so is not for the client. */
  answered(id: IdKey, error: boolean, bytes: Uint8Array, start: number, end: number): boolean {
    const { handshake } = this.setup;
    if (this.stage === "handshake") {
      if (id !== handshake?.id) return false;
      this.events.heard("initialize", error, bytes, start, end);
      this.shake(handshake.answer.protocolVersion, error, textOf(bytes, start, end));
      return true;
    }
    const asked = this.asked.get(id);
    if (!asked) return false;
    this.asked.delete(id);
    if ("list" in asked) {
      this.events.heard(asked.list, error, bytes, start, end);
      this.compare(asked.list, error ? undefined : textOf(bytes, start, end));
    } else if (error) this.events.complain(asked.what);
    return true;
  }

  private shake(version: string, error: boolean, text: string): void {
    const answer = error ? undefined : readHandshakeAnswer(text);
    if (!answer) return this.events.failed("it refuses the handshake that it accepted before");
    if (answer.protocolVersion !== version) {
      const now = answer.protocolVersion;
      return this.events.failed(`it speaks protocol version ${now} now, and the client was told ${version}`);
    }
    this.stage = "restoring";
    this.events.ready(this.setup.initialized ? this.restore() : "");
  }

  /** In this order: a server may take nothing before `initialized`. */
  private restore(): string {
    const { level, subscriptions, lists } = this.setup;
    const lines = ['{"jsonrpc":"2.0","method":"notifications/initialized"}\n'];
    if (level !== undefined) lines.push(this.ask("logging/setLevel", { level }, { what: `the log level ${level}` }));
    for (const uri of subscriptions) {
      lines.push(this.ask("resources/subscribe", { uri }, { what: `the subscription to ${uri}` }));
    }
    for (const [list, known] of lists) {
      // What cannot be compared may have changed.
      if (known === undefined) this.tell(list);
      else lines.push(this.ask(list, {}, { list }));
    }
    return lines.join("");
  }

  private ask(method: string, params: Record<string, unknown>, asked: Asked): string {
    const id = `${this.prefix}${(this.count += 1)}`;
    this.asked.set(`"${id}`, asked);
    return `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;
  }

  private compare(list: ListMethod, answer: string | undefined): void {
    const now = answer === undefined ? undefined : fingerprint(list, answer);
    if (now !== this.setup.lists.get(list) || now === undefined) this.tell(list);
  }

  /** Resources and their templates share a notification; it is sent once. */
  private tell(list: ListMethod): void {
    const method = LISTS[list].changed;
    if (this.told.has(method)) return;
    this.told.add(method);
    this.events.notice(`{"jsonrpc":"2.0","method":"${method}"}\n`);
  }
}
