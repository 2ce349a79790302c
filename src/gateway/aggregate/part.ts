/** One client's use of one server: a session, from its first request on, and what that session offers. */
import { Deadline } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { Attachment, Client, Description, Exchange, Filter, Note, Reply } from "../exchange.ts";
import type { Member } from "./member.ts";
import { ALL_CHANGES, type Item, type Kind, KINDS, listed, LISTINGS, type Offer } from "./offer.ts";

/** A session that opens may wait for its server's start. */
const OPEN_MS = 60_000;

export interface Asked {
  startedAt: number;
  /** The same for all who ask at the same time. */
  done: Promise<Item[]>;
}

/** Who hears what becomes of it. */
export interface PartOwner {
  /** The session's lists are others now. */
  changed(part: Part, kinds: readonly Kind[]): void;
  /** What a session offers when it is fresh. */
  learned(part: Part, kind: Kind, items: Item[], description: Description): void;
}

export class Part {
  private attachment: Attachment | undefined;
  private life = new AbortController();
  private granted: Filter | undefined;
  private readonly asking = new Map<Kind, Asked>();
  private readonly lists = new Map<Kind, Item[]>();
  /** Lists that the session has said nothing about since they were asked for. */
  private readonly current = new Set<Kind>();
  /** Its list of tools, from the first time on. */
  private firstLook: Promise<Item[]> | undefined;
  /** Who listens to something of this server, and has to be told when the session ends. */
  private readonly audience = new Set<() => void>();
  private inFlight = 0;
  private retired = false;

  constructor(
    readonly member: Member,
    private readonly client: Client,
    private readonly owner: PartOwner,
  ) {}

  /** Whether there is a session. */
  get open(): boolean {
    return this.attachment !== undefined;
  }

  /** Another one after the session was lost. */
  get session(): object | undefined {
    return this.attachment;
  }

  async request(exchange: Exchange): Promise<Reply> {
    return this.using((attachment) => attachment.request(exchange));
  }

  /** As `Attachment.listen`. */
  listen(filter: Filter, hear: (note: Note) => void, signal: AbortSignal, ended: () => void): Promise<Filter> {
    const over = () => {
      if (this.audience.delete(over)) ended();
    };
    this.audience.add(over);
    signal.addEventListener("abort", () => this.audience.delete(over), { once: true });
    return this.using((attachment) => attachment.listen(filter, hear, signal, over));
  }

  /** The session's tools, as it has said last, and at least once. Opens it. */
  async verified(): Promise<Item[]> {
    this.begin();
    const first = await (this.firstLook ?? []);
    return this.lists.get("tools") ?? first;
  }

  notify(note: Note): void {
    this.attachment?.notify(note);
  }

  /** The session's own list, which is asked for where it may have changed. Opens the session. */
  list(kind: Kind): Asked {
    const attachment = this.begin();
    const known = this.lists.get(kind);
    if (known && this.current.has(kind) && this.granted?.[LISTINGS[kind].filter]) {
      return { startedAt: performance.now(), done: Promise.resolve(known) };
    }
    const running = this.asking.get(kind);
    if (running) return running;
    // What it says of a change while it is being asked counts as one after it.
    this.current.add(kind);
    const done = this.ask(attachment, kind).finally(() => {
      if (this.asking.get(kind)?.done === done) this.asking.delete(kind);
    });
    done.catch(() => {});
    const asked = { startedAt: performance.now(), done };
    this.asking.set(kind, asked);
    return asked;
  }

  /** Whether the session has said what it has of them. */
  has(kind: Kind): boolean {
    return this.lists.has(kind);
  }

  /** What is known of the session, and for the rest what is known of the server. */
  offer(base: Offer | undefined): Offer | undefined {
    if (!base) return undefined;
    const own = KINDS.map((kind): [Kind, Item[]] => [kind, this.lists.get(kind) ?? base[kind]]);
    return { ...base, ...Object.fromEntries(own) };
  }

  /** Ends the session when nothing is under way in it any more. */
  retire(): void {
    this.retired = true;
    if (this.inFlight === 0) void this.close();
  }

  /** The next request opens another session. */
  async close(): Promise<void> {
    const attachment = this.attachment;
    this.attachment = undefined;
    this.firstLook = undefined;
    this.granted = undefined;
    this.life.abort();
    this.life = new AbortController();
    for (const kept of [this.asking, this.lists, this.current]) kept.clear();
    await attachment?.close().catch(() => {});
    for (const over of this.audience) over();
  }

  private async using<T>(work: (attachment: Attachment) => Promise<T>): Promise<T> {
    const attachment = this.begin();
    this.inFlight += 1;
    let lost = false;
    try {
      return await work(attachment);
    } catch (error) {
      lost = error instanceof Fault && LOST.has(error.kind);
      throw error;
    } finally {
      this.inFlight -= 1;
      // A server that has gone is not asked for its lists, which would start it.
      if (this.inFlight === 0 && this.attachment === attachment && (lost || this.retired)) void this.close();
    }
  }

  private begin(): Attachment {
    if (this.attachment) {
      if (!this.granted) this.hearChanges(this.attachment);
      return this.attachment;
    }
    const attachment = (this.attachment = this.member.upstream.attach(this.client));
    this.hearChanges(attachment);
    this.firstLook = this.list("tools").done;
    this.firstLook.catch(() => {});
    return attachment;
  }

  private hearChanges(attachment: Attachment): void {
    const { signal } = this.life;
    this.granted = {};
    const hear = ({ method }: Note) => {
      const kinds = KINDS.filter((kind) => LISTINGS[kind].changed === method);
      for (const kind of kinds) this.current.delete(kind);
      this.owner.changed(this, kinds);
    };
    const over = () => {
      if (this.attachment === attachment) this.granted = undefined;
    };
    attachment.listen(ALL_CHANGES, hear, signal, over).then(
      (granted) => {
        if (this.attachment === attachment) this.granted = granted;
      },
      // Lists are asked for again and again then.
      () => {},
    );
  }

  private async ask(attachment: Attachment, kind: Kind): Promise<Item[]> {
    const deadline = Deadline.in(OPEN_MS, this.life.signal);
    const description = await deadline.race(`opening ${this.member.name}`, attachment.describe(deadline));
    const items = await listed(attachment, kind, description, this.client.capabilities, deadline);
    const before = this.lists.get(kind);
    if (this.attachment === attachment) this.lists.set(kind, items);
    if (kind !== "tools") await this.firstLook?.catch(() => {});
    if (!before) this.owner.learned(this, kind, items, description);
    return items;
  }
}

const LOST: ReadonlySet<string> = new Set(["server-failed", "unreachable"]);
