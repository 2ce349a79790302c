/**
 * One server as its clients may see it: a tool that has changed since it was accepted is neither listed nor called until
 * somebody has looked at it (aggregate/approvals.ts). All else passes as it is, and of results only lists of tools are
 * looked into.
 */
import { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type Approvals, INSTRUCTIONS, type Speaker, type Words } from "./aggregate/approvals.ts";
import { idOf, listed, LISTINGS, pageOf, profileOf } from "./aggregate/offer.ts";
import { heldBack, heldWords } from "./aggregate/replies.ts";
import {
  type Attachment,
  type Client,
  type Description,
  type Exchange,
  type Filter,
  Json,
  type Note,
  type Params,
  type Reply,
  type Upstream,
} from "./exchange.ts";
import { heeding } from "./heeding.ts";
import { recordOf } from "./clients/message.ts";

/** A server that has to start first may take its time. */
const LOOK_MS = 60_000;
/** After so long without a request there may be another process, whose tools may be others. */
const QUIET_MS = 30_000;

/** `spec`: what runs under the name now; undefined where nothing does any more. */
export function approved(
  upstream: Upstream,
  approvals: Approvals,
  name: string,
  spec: () => string | undefined,
): Upstream {
  const policy = approvals.policyOf({ name, own: false });
  if (policy === "off") return upstream;
  const held = (profile: string, words: Words) => {
    const now = spec();
    return now === undefined ? NONE : approvals.held({ name, spec: now, own: false } satisfies Speaker, profile, words);
  };
  return {
    attach: (client) => new ApprovedAttachment(upstream.attach(client), client, { name, policy, approvals, held }),
  };
}

interface Judge {
  name: string;
  policy: "block" | "warn";
  approvals: Approvals;
  held(profile: string, words: Words): ReadonlySet<string>;
}

/** What the server's tools were when they were last asked for. */
interface Look {
  words: Words;
  held: ReadonlySet<string>;
  revision: number;
}

class ApprovedAttachment implements Attachment {
  /** By kind of client: in the modern era each request says anew what its client can do. */
  private readonly looks = new Map<string, Look>();
  private readonly looking = new Map<string, Promise<Look>>();
  private readonly hearers = new Set<(note: Note) => void>();
  private readonly stop: () => void;
  private usedAt = performance.now();

  constructor(
    private readonly inner: Attachment,
    private readonly client: Client,
    private readonly judge: Judge,
  ) {
    this.stop = judge.approvals.onApproved((server) => {
      if (server === judge.name) for (const hear of this.hearers) hear({ method: CHANGED, params: {} });
    });
  }

  async describe(deadline: Deadline): Promise<Description> {
    const found = await this.inner.describe(deadline);
    const { instructions } = found;
    if (instructions === undefined) return found;
    const held = this.judge.held(profileOf(this.client), { instructions, tools: undefined });
    return held.has(INSTRUCTIONS) ? { ...found, instructions: heldWords(this.judge.name) } : found;
  }

  async request(exchange: Exchange): Promise<Reply> {
    const { method, params } = exchange;
    const now = performance.now();
    if (now - this.usedAt > QUIET_MS) this.looks.clear();
    this.usedAt = now;
    if (method === LISTINGS.tools.method) return await this.list(exchange);
    if (method === "tools/call" && this.judge.policy === "block") {
      const held = this.known(this.profile(exchange)) ?? (await this.look(exchange));
      if (typeof params.name === "string" && held.has(params.name)) {
        throw heldBack(params.name, this.judge.name, params.name);
      }
    }
    try {
      return await this.inner.request(exchange);
    } catch (error) {
      // The next process may have other tools.
      if (error instanceof Fault && LOST.has(error.kind)) this.looks.clear();
      throw error;
    }
  }

  notify(note: Note): void {
    this.inner.notify(note);
  }

  async listen(filter: Filter, hear: (note: Note) => void, signal: AbortSignal, ended: () => void): Promise<Filter> {
    const heard = (note: Note) => {
      if (note.method === CHANGED) this.looks.clear();
      hear(note);
    };
    const forget = () => this.hearers.delete(hear);
    const over = () => {
      forget();
      ended();
    };
    const granted = await this.inner.listen(filter, heard, signal, over);
    if (granted.toolsListChanged && !signal.aborted) {
      this.hearers.add(hear);
      signal.addEventListener("abort", forget, { once: true });
    }
    return granted;
  }

  async close(): Promise<void> {
    this.stop();
    this.hearers.clear();
    await this.inner.close();
  }

  private profile({ capabilities }: Pick<Exchange, "capabilities">): string {
    return profileOf({ era: this.client.era, capabilities });
  }

  /** Undefined where the server has to be asked. */
  private known(profile: string): ReadonlySet<string> | undefined {
    const look = this.looks.get(profile);
    if (!look) return undefined;
    // Somebody has approved something, or another client has seen something new.
    return look.revision === this.judge.approvals.revision ? look.held : this.learn(profile, look.words).held;
  }

  private async list(exchange: Exchange): Promise<Reply> {
    const reply = await this.inner.request(exchange);
    const page = reply.kind === "result" ? pageOf("tools", reply.result) : undefined;
    if (reply.kind !== "result" || !page) return reply;
    const profile = this.profile(exchange);
    const { instructions } = await this.inner.describe(Deadline.in(LOOK_MS, exchange.signal));
    const words = { instructions, tools: page.items };
    const isWhole = exchange.params.cursor === undefined && page.nextCursor === undefined;
    // Of a list in pages the first one is not the first use: the rest would be new then.
    if (!isWhole && !this.known(profile)) await this.look(exchange);
    const held = isWhole ? this.learn(profile, words).held : this.judge.held(profile, words);
    const kept = page.items.filter((tool) => !held.has(idOf("tools", tool)));
    const result = recordOf(reply.result);
    if (Array.isArray(result.tools) && kept.length === result.tools.length) return reply;
    return { ...reply, result: Json.of({ ...result, tools: kept, ...markOf(result, held) }) };
  }

  /** Asks for the whole list, once for all who want to know at the same time. Rejects where the server does not say. */
  private async look(exchange: Exchange): Promise<ReadonlySet<string>> {
    const profile = this.profile(exchange);
    const running = this.looking.get(profile);
    const work = running ?? this.ask(profile, exchange.capabilities);
    if (!running) {
      this.looking.set(profile, work);
      work.then(
        () => this.looking.delete(profile),
        () => this.looking.delete(profile),
      );
    }
    return (await heeding(exchange.signal, work)).held;
  }

  private async ask(profile: string, capabilities: Params): Promise<Look> {
    const deadline = Deadline.in(LOOK_MS);
    const description = await this.inner.describe(deadline);
    const tools = await listed(this.inner, "tools", description, capabilities, deadline);
    return this.learn(profile, { instructions: description.instructions, tools });
  }

  private learn(profile: string, words: Words): Look {
    const held = this.judge.held(profile, words);
    const look = { words, held, revision: this.judge.approvals.revision };
    this.looks.set(profile, look);
    return look;
  }
}

/** For who wants to know why something is missing. */
function markOf({ _meta }: Params, held: ReadonlySet<string>): Params {
  const names = [...held].filter((name) => name !== INSTRUCTIONS);
  return names.length > 0 ? { _meta: { ...Object(_meta), "linkspan/held": names } } : {};
}

const CHANGED = LISTINGS.tools.changed;
const LOST: ReadonlySet<string> = new Set(["server-failed", "unreachable"]);
const NONE: ReadonlySet<string> = new Set();
