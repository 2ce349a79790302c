/** An upstream that does what its test says, and remembers what it was asked. */
import type {
  Attachment,
  Client,
  Description,
  Era,
  Exchange,
  Filter,
  Note,
  Params,
  Reply,
  Upstream,
} from "../../../src/gateway/exchange.ts";
import { Json } from "../../../src/gateway/exchange.ts";

export const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  completions: {},
  logging: {},
};

export type Answering = (exchange: Exchange) => Promise<Reply> | Reply;

export interface FakeListen {
  filter: Filter;
  hear: (note: Note) => void;
  signal: AbortSignal;
  ended: () => void;
}

export class FakeUpstream implements Upstream {
  readonly clients: Client[] = [];
  readonly exchanges: Exchange[] = [];
  readonly notes: Note[] = [];
  readonly listens: FakeListen[] = [];
  closed = 0;
  description: Description;
  grant: (filter: Filter) => Filter = (filter) => filter;

  constructor(
    readonly era: Era,
    public answering: Answering,
    capabilities: Params = CAPABILITIES,
  ) {
    this.description = {
      era,
      serverInfo: { name: "fake", version: "1" },
      capabilities,
      instructions: "Be kind",
    };
  }

  get calls(): number {
    return this.exchanges.filter(({ method }) => method === "tools/call").length;
  }

  attach(client: Client): Attachment {
    this.clients.push(client);
    return {
      describe: async () => this.description,
      request: async (exchange) => {
        this.exchanges.push(exchange);
        return await this.answering(exchange);
      },
      notify: (note) => void this.notes.push(note),
      listen: async (filter, hear, signal, ended) => {
        this.listens.push({ filter, hear, signal, ended });
        return this.grant(filter);
      },
      close: async () => void (this.closed += 1),
    };
  }
}

export function result(era: Era, value: unknown): Reply {
  return { kind: "result", era, result: Json.of(value) };
}

export function text(era: Era, words: string): Reply {
  return result(era, {
    content: [{ type: "text", text: words }],
    ...(era === "modern" ? { resultType: "complete" } : {}),
  });
}
