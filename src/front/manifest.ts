/**
 * The stored manifest, at the front's end. What a server answers to the questions by which clients begin (`initialize`,
 * `server/discover`, the lists) is read off the traffic and kept by the manager; while the next start of the same server
 * is on its way, the same questions get the same answers.
 *
 * A question is a fingerprint of all that may shape its answer: the method, its parameters and, in the older era, the
 * parameters of the `initialize` before it. So a client is told only what a client that asked the very same was told.
 * Lists of more than one page are never kept: a cursor belongs to the process that gave it. Pure: no I/O.
 */
import * as v from "valibot";
import { type IdKey, idText } from "../../bridge/envelope.ts";
import { ANSWER_CHARS_MAX, ANSWERS_MAX, type ManifestAnswers, type ManifestNews } from "../model/manifest.ts";
import { parseJson } from "./messages.ts";
import { replaceId } from "./questions.ts";
import { isListMethod, type SetupMessage, textOf } from "./setup.ts";

/** Questions that wait for an answer; more are not looked at. */
const ASKED_MAX = 64;
/** All that waits for the manager; it takes bodies of 8 MiB, where quotes take two characters. */
const NEWS_CHARS_MAX = 2 * 1024 * 1024;

type Params = SetupMessage["params"];

interface Asked extends SetupMessage {
  question: string;
}

export class Manifest {
  private known = new Map<string, string>();
  /** What the manager does not know yet. */
  private news = new Map<string, string | null>();
  private newsChars = 0;
  private readonly asked = new Map<IdKey, Asked>();
  /** Fingerprint of what the client has said in its `initialize`; empty in the newer era. */
  private handshake = "";
  /** The client was given the answer to its `initialize` from here: without that, the lists are the server's to give. */
  private shaken = false;
  /** What a client of the newer era was told from here, by question. */
  private readonly told = new Map<string, Asked>();
  /** Questions that the front itself has asked, by its ids. */
  private readonly checks = new Map<IdKey, string>();
  private listeners: { learned(): void; news(): void } = { learned: () => {}, news: () => {} };

  /** `prefix` begins the ids of what is asked here; nobody else may use it. */
  constructor(private readonly prefix: string) {}

  /** `learned`: there are answers. `news`: there is something for the manager, see `takeNews`. */
  on(listeners: Partial<Manifest["listeners"]>): void {
    this.listeners = { ...this.listeners, ...listeners };
  }

  /** What the manager has kept. */
  learn(answers: ManifestAnswers): void {
    this.known = new Map(Object.entries(answers));
    if (this.known.size > 0) this.listeners.learned();
  }

  /** A request of the client that may set something up. */
  sent(id: IdKey, message: SetupMessage): void {
    const { method, params } = message;
    if (method === "initialize") this.handshake = fingerprint([method, neutral(params)]);
    const question = this.question(method, params);
    if (question && this.asked.size < ASKED_MAX) this.asked.set(id, { ...message, question });
  }

  /** What the client that asked this is to be told, without a newline, if it is known. It counts as answered then. */
  recall(id: IdKey): string | undefined {
    const asked = this.asked.get(id);
    const text = asked && this.known.get(asked.question);
    const line = text === undefined ? undefined : replaceId(text, idText(id));
    if (!asked || line === undefined) return undefined;
    if (asked.method === "initialize") this.shaken = true;
    else if (this.handshake !== "" && !this.shaken) return undefined;
    this.asked.delete(id);
    if (this.handshake === "") this.told.set(asked.question, asked);
    return line;
  }

  /** An answer of the server to the client. */
  answered(id: IdKey, error: boolean, bytes: Uint8Array, start: number, end: number): void {
    const asked = this.asked.get(id);
    if (asked === undefined) return;
    this.asked.delete(id);
    this.note(asked.question, error, bytes, start, end);
  }

  /** An answer of a new server process to what the front has asked it as the client had asked the last one. */
  replayed(method: string, error: boolean, bytes: Uint8Array, start: number, end: number): void {
    const question = this.question(method, {});
    if (question) this.note(question, error, bytes, start, end);
  }

  /** Asks again what the newer era was told from here: the server may say something else by now. */
  takeChecks(): Uint8Array[] {
    const lines: Uint8Array[] = [];
    // In the older era the replay does it, and what came before `initialize` is of no more use.
    if (this.handshake === "") {
      for (const { question, method, params } of this.told.values()) {
        const id = `${this.prefix}${this.checks.size + 1}`;
        this.checks.set(`"${id}`, question);
        lines.push(Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`));
      }
    }
    this.told.clear();
    return lines;
  }

  /** Answers to `takeChecks` are on their way; they are not for the client. */
  get checking(): boolean {
    return this.checks.size > 0;
  }

  /** Whether the answer was for us. */
  checked(id: IdKey, error: boolean, bytes: Uint8Array, start: number, end: number): boolean {
    const question = this.checks.get(id);
    if (question === undefined) return false;
    this.checks.delete(id);
    this.note(question, error, bytes, start, end);
    return true;
  }

  /** The session has ended. `again`: requests that the next one is asked. */
  ended(again: ReadonlySet<IdKey>): void {
    this.checks.clear();
    for (const id of this.asked.keys()) if (!again.has(id)) this.asked.delete(id);
  }

  /** What the manager is to be told; undefined where there is nothing. */
  takeNews(): ManifestNews | undefined {
    if (this.news.size === 0) return undefined;
    const news = Object.fromEntries(this.news);
    this.news.clear();
    this.newsChars = 0;
    return news;
  }

  private note(question: string, error: boolean, bytes: Uint8Array, start: number, end: number): void {
    const fits = end - start <= ANSWER_CHARS_MAX && this.news.size < ANSWERS_MAX;
    // A server that refuses a client today may have been mended by tomorrow: only answers to other questions may be errors.
    const text = fits && !(error && question === this.handshake) ? keepable(textOf(bytes, start, end)) : undefined;
    if (text === this.known.get(question)) return;
    this.newsChars += text?.length ?? 0;
    if (this.newsChars > NEWS_CHARS_MAX) return;
    if (text === undefined) this.known.delete(question);
    else this.known.set(question, text);
    this.news.set(question, text ?? null);
    this.listeners.news();
  }

  private question(method: string, params: Params): string | undefined {
    if (method === "initialize") return this.handshake;
    if (method === "server/discover") return fingerprint([method, neutral(params)]);
    if (!isListMethod(method) || params.cursor !== undefined) return undefined;
    return fingerprint([this.handshake, method, neutral(params)]);
  }
}

/** Without what is another each time: of `_meta` the protocol's own members count (who the client is, what it can). */
function neutral({ _meta, ...params }: Params): Params {
  const meta = v.safeParse(v.record(v.string(), v.unknown()), _meta);
  const own = meta.success
    ? Object.entries(meta.output).filter(([key]) => key.startsWith("io.modelcontextprotocol/"))
    : [];
  return own.length > 0 ? { ...params, _meta: Object.fromEntries(own) } : params;
}

function fingerprint(parts: unknown): string {
  return new Bun.CryptoHasher("sha256").update(JSON.stringify(parts)).digest("hex");
}

const result = v.looseObject({
  nextCursor: v.optional(v.unknown()),
  resultType: v.optional(v.unknown()),
  ttlMs: v.optional(v.unknown()),
});
const message = v.looseObject({ result: v.optional(result), error: v.optional(v.looseObject({ code: v.number() })) });

/**
 * The answer as it may be given to another client; undefined where it may not. Of errors only those count that say what
 * the server cannot do at all: others may be over tomorrow.
 */
function keepable(text: string): string | undefined {
  const parsed = v.safeParse(message, parseJson(text));
  if (!parsed.success) return undefined;
  const { result: said, error } = parsed.output;
  if (error) return INCAPABLE.has(error.code) ? replaceId(text.trim(), "0") : undefined;
  if (!said || said.nextCursor !== undefined) return undefined;
  if (said.resultType !== undefined && said.resultType !== "complete") return undefined;
  if (said.ttlMs === undefined || said.ttlMs === 0) return replaceId(text.trim(), "0");
  // For how long it holds was said to the client that asked: whoever gets it later is to ask again soon.
  return JSON.stringify({ ...parsed.output, id: 0, result: { ...said, ttlMs: 0 } });
}

/** Method not found, invalid request, invalid parameters (JSON-RPC 2.0): how servers refuse what they do not know. */
const INCAPABLE: ReadonlySet<number> = new Set([-32601, -32600, -32602]);
