/** Real servers behind a real manager with the process runtime, as upstreams; and clients of both eras that use them. */
import { type ApiUnderTest, fixture, startApi } from "../../support/api.ts";
import { Deadline } from "../../../src/base/deadline.ts";
import type { ServerBodyInput } from "../../../src/model/server-spec.ts";
import { dialSession } from "../../../src/transport/session.ts";
import {
  type Attachment,
  type Client,
  type Era,
  type Exchange,
  type Note,
  type Params,
  type Question,
  type Reply,
  RpcFault,
  type Upstream,
} from "../../../src/gateway/exchange.ts";
import { type Lines, sessionLines } from "../../../src/gateway/servers/lines.ts";
import { type ServerOptions, serverUpstream } from "../../../src/gateway/servers/upstream.ts";

export { fixture };

/** A server, and how many processes of it were opened. */
export interface Subject {
  upstream: Upstream;
  /** Every line to a process that was opened, in order. */
  processes: string[][];
  /** Processes that have not ended. */
  living(): number;
}

export class Stage implements AsyncDisposable {
  private constructor(readonly api: ApiUnderTest) {}

  static async open(name: string): Promise<Stage> {
    return new Stage(await startApi(name));
  }

  async start(name: string, body: ServerBodyInput, options: Partial<ServerOptions> = {}): Promise<Subject> {
    await this.api.client.start(name, body);
    return this.subject(name, options);
  }

  subject(name: string, options: Partial<ServerOptions> = {}): Subject {
    const processes: string[][] = [];
    let living = 0;
    const open = async (deadline: Deadline) => {
      const lines = await this.lines(name, deadline, () => (living -= 1));
      living += 1;
      const sent: string[] = [];
      processes.push(sent);
      return recorded(lines, sent);
    };
    return { upstream: serverUpstream({ open, ...options }), processes, living: () => living };
  }

  private async lines(server: string, deadline: Deadline, released: () => void): Promise<Lines> {
    const { manager } = this.api;
    const request = { server, pid: process.pid, ppid: process.ppid };
    const { addresses, token, session } = await manager.acquire(request, "manager", () => {}, deadline);
    const opened = await dialSession({ addresses, token, session }, deadline.within(5_000));
    return sessionLines(opened, () => {
      manager.release(session);
      released();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api[Symbol.asyncDispose]();
  }
}

function recorded(lines: Lines, sent: string[]): Lines {
  return {
    messageBytes: lines.messageBytes,
    open: (events) => lines.open(events),
    close: () => lines.close(),
    send(line) {
      sent.push(line);
      return lines.send(line);
    },
  };
}

export interface PersonOptions {
  capabilities?: Params;
  principal?: string;
  /** What is answered to a question; absent: nobody can be asked. */
  answer?: (question: Question, signal: AbortSignal) => Promise<Params> | Params;
}

/** A client, what it was asked and what it has heard. */
export class Person {
  readonly asked: Question[] = [];
  /** What belonged to no call. */
  readonly told: Note[] = [];
  readonly attachment: Attachment;
  readonly client: Client;

  constructor(
    upstream: Upstream,
    readonly era: Era,
    readonly options: PersonOptions = {},
  ) {
    const { capabilities = {}, principal = "somebody", answer } = options;
    this.client = { era, principal, info: { name: "person", version: "1" }, capabilities };
    if (era === "legacy") {
      if (answer) this.client.ask = (question, signal) => this.ask(question, signal);
      this.client.tell = (note) => void this.told.push(note);
    }
    this.attachment = upstream.attach(this.client);
  }

  describe(ms = 10_000) {
    return this.attachment.describe(Deadline.in(ms));
  }

  request(method: string, params: Params = {}, more: Partial<Exchange> = {}): Promise<Reply> {
    const { capabilities = {}, answer } = this.options;
    const signal = new AbortController().signal;
    const ask = answer ? { ask: (question: Question, given: AbortSignal) => this.ask(question, given) } : {};
    const rounds = false;
    return this.attachment.request({ method, params, signal, capabilities, rounds, ...ask, ...more });
  }

  call(name: string, args: Params = {}, more: Partial<Exchange> = {}): Promise<Reply> {
    return this.request("tools/call", { name, arguments: args }, more);
  }

  private async ask(question: Question, signal: AbortSignal): Promise<Params> {
    this.asked.push(question);
    if (!this.options.answer) throw new RpcFault({ code: -32601, message: "nobody is here" });
    return await this.options.answer(question, signal);
  }
}

/** The result of a reply; throws where there is none. */
export function resultOf(reply: Reply): Record<string, any> {
  if (reply.kind !== "result") throw new Error(`expected a result, got ${Bun.inspect(reply)}`);
  return reply.result.value as Record<string, any>;
}

export function textOf(reply: Reply): string {
  const [first] = resultOf(reply).content;
  return String(first?.text);
}
