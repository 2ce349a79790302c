/**
 * Requests of modern clients, each of which stands for itself: who asks, what it can do and what it wants to hear is all
 * in the request. What a call leaves behind between two rounds is under a sealed `requestState`.
 */
import { type Exchange, RpcFault, type Upstream } from "../exchange.ts";
import { discoverResult, modernError } from "../translate.ts";
import { Attachments } from "./attachments.ts";
import { readEnvelope } from "./envelope.ts";
import { serveListen } from "./listen.ts";
import { CODE, errorText, type Request, resultText, rpcErrorOf } from "./message.ts";
import { logTo, progressTo } from "./notices.ts";
import { isRoundMethod, Rounds } from "./rounds.ts";
import { type Caller, resultOf } from "./results.ts";
import type { Seal } from "./seal.ts";

export type { Caller };

/** What one client may have in flight at the same time; streams of `subscriptions/listen` among it. */
const IN_FLIGHT_MAX = 64;
/** The legacy era's, and what nobody carries through (docs/eras.md). */
const REMOVED = /^(initialize|ping|logging\/setLevel|resources\/(un)?subscribe|tasks\/.*)$/;

export interface ModernOptions {
  seal: Seal;
  /** What a `requestState` is bound to: the server's name, or that of the selection. */
  name: string;
  /** 64 when absent. */
  inFlightMax?: number | undefined;
}

export interface Answer {
  text: string;
  /** The JSON-RPC code of an error; undefined for a result. */
  code: number | undefined;
}

export class ModernDoor {
  private readonly attachments: Attachments;
  private readonly rounds: Rounds;

  constructor(upstream: Upstream, options: ModernOptions) {
    this.attachments = new Attachments(upstream, options.inFlightMax ?? IN_FLIGHT_MAX);
    this.rounds = new Rounds(options.seal, options.name);
  }

  /** The answer; undefined where the client has cancelled the request and gets none. Never rejects. */
  async handle(request: Request, caller: Caller): Promise<Answer | undefined> {
    try {
      const result = await this.answer(request, caller);
      return caller.signal.aborted ? undefined : { text: resultText(request.id, result), code: undefined };
    } catch (error) {
      if (caller.signal.aborted) return undefined;
      const answered = modernError(rpcErrorOf(error));
      return { text: errorText(request.id, answered), code: answered.code };
    }
  }

  /** Something is asked for, listened to, or waits between two rounds. */
  get inUse(): boolean {
    return this.attachments.inUse || this.rounds.waiting > 0;
  }

  /** Ends what waits between two rounds, and lets go of the upstream. */
  async close(): Promise<void> {
    this.rounds.close();
    await this.attachments.close();
  }

  private async answer(request: Request, caller: Caller): Promise<string> {
    const { method } = request;
    const envelope = readEnvelope(request.params);
    if (REMOVED.test(method)) throw new RpcFault({ code: CODE.methodNotFound, message: `Method not found: ${method}` });
    using attached = this.attachments.use(caller.principal, envelope);
    if (method === "server/discover") return JSON.stringify(discoverResult(await attached.describe(caller.signal)));
    if (method === "subscriptions/listen") {
      const { id } = request;
      return await serveListen({ attached, id, params: envelope.params, emit: caller.emit, signal: caller.signal });
    }
    const round = {
      signal: caller.signal,
      ...progressTo(envelope.token, caller.emit),
      ...logTo(envelope.level, caller.emit),
    };
    if (isRoundMethod(method)) return await this.rounds.answer({ method, envelope, caller, attached, round });
    const exchange: Exchange = {
      ...round,
      method,
      params: envelope.params,
      capabilities: envelope.capabilities,
      rounds: false,
    };
    return await resultOf(method, await attached.attachment.request(exchange), attached);
  }
}
