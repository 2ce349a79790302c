/**
 * What a legacy client hears without asking each time: changed lists from the beginning of its session on, resources
 * from `resources/subscribe` on. Each is a listen of the upstream, begun anew when that ends it: the end of a server's
 * process is the upstream's own business (servers/home.ts), but a server that was defined anew is another upstream.
 */
import { sleep } from "../../base/deadline.ts";
import { type Attachment, type Filter, type Note, type Params, RpcFault } from "../exchange.ts";
import { CODE, isRecord } from "./message.ts";
import { META, withoutMeta } from "./meta.ts";

const URIS_MAX = 256;
const AGAIN_FIRST_MS = 500;
const AGAIN_MAX_MS = 60_000;

const LISTS = {
  tools: { filter: "toolsListChanged", method: "notifications/tools/list_changed" },
  prompts: { filter: "promptsListChanged", method: "notifications/prompts/list_changed" },
  resources: { filter: "resourcesListChanged", method: "notifications/resources/list_changed" },
} as const;

export class Listens {
  private readonly ending = new AbortController();
  private readonly subscriptions = new Map<string, AbortController>();
  private begun = false;

  constructor(
    private readonly attachment: Attachment,
    private readonly tell: (note: Note) => void,
  ) {}

  /** The lists that the server says it tells of. Once; again it does nothing. */
  begin(capabilities: Params): void {
    if (this.begun) return;
    this.begun = true;
    const filter: Filter = {};
    for (const [name, list] of Object.entries(LISTS)) {
      const declared = capabilities[name];
      if (isRecord(declared) && declared.listChanged === true) filter[list.filter] = true;
    }
    if (Object.keys(filter).length > 0) void this.keep(filter, this.ending.signal, () => this.tellLists(filter));
  }

  /** Throws an `RpcFault` where the server grants no such subscription. */
  async subscribe(uri: string, signal: AbortSignal): Promise<void> {
    if (this.subscriptions.has(uri)) return;
    if (this.subscriptions.size >= URIS_MAX) throw refuse(`${URIS_MAX} resources are subscribed to already`);
    const stop = new AbortController();
    this.subscriptions.set(uri, stop);
    const takeBack = () => stop.abort();
    signal.addEventListener("abort", takeBack, { once: true });
    try {
      const filter = { resourceSubscriptions: [uri] };
      const until = AbortSignal.any([this.ending.signal, stop.signal]);
      const changed = () => this.tell({ method: "notifications/resources/updated", params: { uri } });
      const ended = () => void this.keep(filter, until, changed, changed);
      const granted = await this.listen(filter, until, ended);
      if (!granted.resourceSubscriptions?.includes(uri)) throw refuse(`the server does not tell of changes of ${uri}`);
    } catch (error) {
      stop.abort();
      this.subscriptions.delete(uri);
      throw error;
    } finally {
      signal.removeEventListener("abort", takeBack);
    }
  }

  unsubscribe(uri: string): void {
    this.subscriptions.get(uri)?.abort();
    this.subscriptions.delete(uri);
  }

  close(): void {
    this.ending.abort();
    this.subscriptions.clear();
  }

  /** Listens until the signal aborts, and again whenever the upstream ends it: what was missed is told by `missed`. */
  private async keep(
    filter: Filter,
    signal: AbortSignal,
    missed: () => void,
    first: () => void = () => {},
  ): Promise<void> {
    let then = first;
    let waitMs = AGAIN_FIRST_MS;
    for (;;) {
      const over = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => over.resolve(), { once: true });
      try {
        if (signal.aborted) return;
        const granted = await this.listen(filter, signal, () => over.resolve());
        // Where nothing is granted, asking again changes nothing.
        if (Object.keys(granted).length === 0) return;
        then();
        then = missed;
        waitMs = AGAIN_FIRST_MS;
        await over.promise;
        await sleep(AGAIN_FIRST_MS, signal);
      } catch {
        // The server may be away for a while; the client's own requests say so.
        if (signal.aborted) return;
        then = missed;
        await sleep(waitMs, signal).catch(() => {});
        waitMs = Math.min(waitMs * 2, AGAIN_MAX_MS);
      }
    }
  }

  private listen(filter: Filter, signal: AbortSignal, ended: () => void): Promise<Filter> {
    const hear = ({ method, params }: Note) => {
      if (!signal.aborted) this.tell({ method, params: withoutMeta(params, META.subscription) });
    };
    return this.attachment.listen(filter, hear, signal, ended);
  }

  private tellLists(filter: Filter): void {
    for (const list of Object.values(LISTS)) if (filter[list.filter]) this.tell({ method: list.method, params: {} });
  }
}

function refuse(message: string): RpcFault {
  return new RpcFault({ code: CODE.invalidParams, message });
}
