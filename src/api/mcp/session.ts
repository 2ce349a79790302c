/**
 * One legacy client over Streamable HTTP: its conversation, the POSTs that wait for answers, the streams it reads. An
 * answer that is there soon is plain JSON; otherwise, or when something else comes first, the POST becomes a stream, whose
 * events are kept for a client that comes back for them.
 */
import { LegacyConversation } from "../../gateway/clients/legacy.ts";
import type { Upstream } from "../../gateway/exchange.ts";
import type { Id, Message } from "../../gateway/clients/message.ts";
import type { Outlet as LegOutlet, Outgoing } from "../../gateway/clients/outlet.ts";
import type { Caller } from "./callers.ts";
import { EventStore, STORE_EVENTS_MAX, type StoredEvent } from "./event-store.ts";
import { Outlet } from "./outlet.ts";
import { CODE, JSON_HEADERS, Refusal } from "./refusal.ts";

/** A client may lose its connection during a longer call, and can only come back if it has an event's id. */
const JSON_MS = 250;
/** The stream of what belongs to no request. */
const UNRELATED = 0;
/** From this revision on clients take an event without data, which gives them an id to come back with. */
const PRIMED_SINCE = "2025-11-25";
/** Streams that have ended, of which it is known that nothing more comes. */
const FINISHED_MAX = STORE_EVENTS_MAX;

export class HttpSession implements LegOutlet {
  usedAt = performance.now();
  private readonly leg: LegacyConversation;
  private readonly store = new EventStore();
  private readonly posts = new Map<Id, Post>();
  /** Streams that are being read, by number. */
  private readonly outlets = new Map<number, Outlet>();
  /** Streams whose answers are all in the store. */
  private readonly finished = new Set<number>();
  private streams = UNRELATED;
  /** The last of what belongs to no request that somebody was given. */
  private heard: string;
  private closed = false;

  constructor(
    readonly id: string,
    public caller: Caller,
    /** What it is a session with: the same id elsewhere is unknown. */
    readonly target: string,
    upstream: Upstream,
    private readonly onClose: () => void,
  ) {
    this.heard = this.store.begin(UNRELATED);
    this.leg = new LegacyConversation({ upstream, principal: caller.principal, outlet: this });
    caller.ended?.addEventListener("abort", this.revoked, { once: true });
  }

  get version(): string | undefined {
    return this.leg.version;
  }

  get batches(): boolean {
    return this.leg.batches;
  }

  /** Nothing is being answered, and nobody listens. */
  get quiet(): boolean {
    return this.posts.size === 0 && this.outlets.size === 0;
  }

  /**
   * Resolves with the answer, or with the stream it comes on. `gone` is the client's connection. `onDone` is called once, when
   * every request of it was answered. Throws a `Refusal`.
   */
  async post(messages: readonly Message[], batch: boolean, gone: AbortSignal, onDone: () => void): Promise<Response> {
    const ids = messages.flatMap((message) => (message.kind === "request" ? [message.id] : []));
    if (new Set(ids).size < ids.length || ids.some((id) => this.posts.has(id))) {
      throw new Refusal(400, CODE.request, "a request with this id is being answered already");
    }
    const { leg } = this;
    if (ids.length === 0) {
      for (const message of messages) leg.receive(message);
      onDone();
      return new Response(null, { status: 202 });
    }
    const post = new Post(ids, batch, gone, onDone);
    for (const id of ids) this.posts.set(id, post);
    for (const message of messages) leg.receive(message);
    // What was answered in the same turn needs no timer.
    if (!post.done) post.timer = setTimeout(() => this.openStream(post), JSON_MS);
    return post.response;
  }

  send({ text, about, kind }: Outgoing): void {
    const last = kind === "answer";
    // An `initialize` that has failed leaves nothing that could be used.
    if (last && this.version === undefined && this.leg.pending === 0) queueMicrotask(() => void this.close());
    const post = about === undefined ? undefined : this.posts.get(about);
    if (!post) return this.sendUnrelated(text);
    if (about !== undefined && last) {
      this.posts.delete(about);
      this.usedAt = performance.now();
    }
    if (post.stream === undefined) {
      if (last) return post.answer(text, this.id);
      this.openStream(post);
    }
    if (last) post.settle();
    if (post.stream !== undefined) this.sendOn(post.stream, text, post.left === 0);
  }

  unanswered(about: Id): void {
    const post = this.posts.get(about);
    if (!post) return;
    this.posts.delete(about);
    post.settle();
    if (post.left > 0) return;
    if (post.stream === undefined) post.nothing(this.id);
    else this.endStream(post.stream);
  }

  /** The stream of what belongs to no request, or what is left of another one. Throws a `Refusal`. */
  listen(lastEventId: string | null, gone: AbortSignal): Response {
    if (lastEventId === null) {
      const { outlet, response } = this.open(UNRELATED, gone);
      outlet.write(": open\n\n");
      // Nobody knows of those that were dropped meanwhile: changes of lists, of which the last ones count.
      this.replay(UNRELATED, this.store.after(this.heard) ?? this.store.kept(UNRELATED), outlet);
      return response;
    }
    const stream = this.store.streamOf(lastEventId);
    const missed = this.store.after(lastEventId);
    if (stream === undefined || missed === undefined) {
      throw new Refusal(400, CODE.request, "what came after this event is not kept any more");
    }
    const { outlet, response } = this.open(stream, gone);
    this.replay(stream, missed, outlet);
    if (this.finished.has(stream)) outlet.end();
    return response;
  }

  renew(caller: Caller): void {
    this.caller.ended?.removeEventListener("abort", this.revoked);
    this.caller = caller;
    caller.ended?.addEventListener("abort", this.revoked, { once: true });
  }

  /** No more of what belongs to no request: the manager ends. */
  drain(): void {
    this.outlets.get(UNRELATED)?.end();
  }

  /** Ends everything of it; the client's requests get an error where they still can. Idempotent. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.caller.ended?.removeEventListener("abort", this.revoked);
    for (const post of new Set(this.posts.values())) post.over();
    this.posts.clear();
    for (const outlet of this.outlets.values()) outlet.end();
    this.onClose();
    await this.leg.close();
  }

  private readonly revoked = () => void this.close();

  private openStream(post: Post): void {
    if (post.done || this.closed) return;
    post.stream = this.streams += 1;
    const beginning = this.store.begin(post.stream);
    const { outlet, response } = this.open(post.stream, post.gone);
    // At once, so that the client has the headers, and an id to come back with.
    const primed = (this.version ?? "") >= PRIMED_SINCE;
    outlet.write(primed ? `id: ${beginning}\ndata: \n\n` : ": open\n\n");
    for (const text of post.become(response)) this.sendOn(post.stream, text, false);
  }

  private open(stream: number, gone: AbortSignal): { outlet: Outlet; response: Response } {
    // The client has come back: its earlier connection is dead, though nobody has told us.
    this.outlets.get(stream)?.end();
    const outlet: Outlet = new Outlet(() => {
      if (this.outlets.get(stream) === outlet) this.outlets.delete(stream);
      this.usedAt = performance.now();
    });
    this.outlets.set(stream, outlet);
    // Bun says nothing to a stream whose client had gone before it was made.
    if (gone.aborted) outlet.end();
    else gone.addEventListener("abort", () => outlet.end(), { once: true });
    return { outlet, response: outlet.response({ "mcp-session-id": this.id }) };
  }

  private sendUnrelated(text: string): void {
    if (this.closed) return;
    const event = this.store.append(UNRELATED, text);
    if (this.outlets.get(UNRELATED)?.write(frame(event))) this.heard = event.id;
  }

  private replay(stream: number, missed: StoredEvent[], outlet: Outlet): void {
    for (const event of missed) {
      if (outlet.write(frame(event)) && stream === UNRELATED) this.heard = event.id;
    }
  }

  private sendOn(stream: number, text: string, last: boolean): void {
    const event = this.store.append(stream, text);
    this.outlets.get(stream)?.write(frame(event));
    if (last) this.endStream(stream);
  }

  private endStream(stream: number): void {
    this.finished.add(stream);
    const [oldest] = this.finished;
    if (this.finished.size > FINISHED_MAX && oldest !== undefined) this.finished.delete(oldest);
    this.outlets.get(stream)?.end();
  }
}

/** One POST with requests in it. */
class Post {
  readonly response: Promise<Response>;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** The stream it has become. */
  stream: number | undefined;
  /** Requests without an answer. */
  left: number;
  /** It has its response. */
  done = false;
  private resolve: (response: Response) => void = () => {};
  private readonly answers: string[] = [];

  constructor(
    private readonly ids: readonly Id[],
    private readonly batch: boolean,
    /** Aborts when the client's connection ends. */
    readonly gone: AbortSignal,
    private readonly onDone: () => void,
  ) {
    this.left = ids.length;
    this.response = new Promise((resolve) => (this.resolve = resolve));
  }

  /** One request less. */
  settle(): void {
    this.left -= 1;
    if (this.left === 0) this.onDone();
  }

  answer(text: string, session: string): void {
    this.answers.push(text);
    this.settle();
    if (this.left > 0) return;
    const body = this.batch ? `[${this.answers.join(",")}]` : text;
    this.finish(new Response(body, { headers: { ...JSON_HEADERS, "mcp-session-id": session } }));
  }

  /** Every request of it was cancelled. */
  nothing(session: string): void {
    if (this.answers.length > 0) {
      const body = `[${this.answers.join(",")}]`;
      return this.finish(new Response(body, { headers: { ...JSON_HEADERS, "mcp-session-id": session } }));
    }
    this.finish(new Response(null, { status: 202, headers: { "mcp-session-id": session } }));
  }

  /** Gives the answers that it has for the stream. */
  become(stream: Response): string[] {
    this.finish(stream);
    return this.answers.splice(0);
  }

  /** The session has ended before the answers. */
  over(): void {
    if (this.left > 0) this.onDone();
    const errors = this.ids.map((id) => ({
      jsonrpc: "2.0",
      id,
      error: { code: SESSION_OVER, message: "the session has ended" },
    }));
    const body = JSON.stringify(this.batch ? errors : errors[0]);
    this.finish(new Response(body, { status: 404, headers: JSON_HEADERS }));
  }

  private finish(response: Response): void {
    if (this.done) return;
    this.done = true;
    clearTimeout(this.timer);
    this.resolve(response);
  }
}

/** As the SDK's servers have it. */
export const SESSION_OVER = -32001;

function frame({ id, text }: StoredEvent): string {
  return `event: message\nid: ${id}\ndata: ${text}\n\n`;
}
