/**
 * Calls that a server may ask something about. A modern server asks with its result, which passes through, its state
 * sealed; a legacy one asks in the middle of the call, which then waits here (suspended.ts). Either way the client gets
 * `input_required` and comes again with the answers.
 */
import * as v from "valibot";
import { Fault } from "../../base/fault.ts";
import { type Exchange, type Params, type Question, type Reply, RpcFault } from "../exchange.ts";
import type { Attached } from "./attachments.ts";
import { missingCapability } from "./capabilities.ts";
import { type Envelope, invalid } from "./envelope.ts";
import { CODE, record, recordOf } from "./message.ts";
import { type Caller, resultOf } from "./results.ts";
import { type Binding, type Content, refused, type Seal } from "./seal.ts";
import { Call, type Outcome, type Round, Suspended } from "./suspended.ts";

/** A state that holds nothing here is good for as long as a person may think about it. */
const STATE_MS = 3_600_000;
/** The same as the call that it belongs to, which ends by itself. */
const CALL_STATE_MS = 600_000;

const METHODS = ["tools/call", "prompts/get", "resources/read"] as const;
export function isRoundMethod(method: string): method is (typeof METHODS)[number] {
  return METHODS.some((known) => known === method);
}

const retryParams = v.looseObject({ inputResponses: v.optional(record), requestState: v.optional(v.string()) });

interface Asked {
  method: string;
  envelope: Envelope;
  caller: Caller;
  attached: Attached;
  round: Round;
}

export class Rounds {
  private readonly suspended = new Suspended();

  constructor(
    private readonly seal: Seal,
    private readonly upstream: string,
  ) {}

  /** Calls between two rounds. */
  get waiting(): number {
    return this.suspended.size;
  }

  close(): void {
    this.suspended.close();
  }

  /** The result as JSON text. Throws an `RpcFault` or a fault. */
  async answer(asked: Asked): Promise<string> {
    const { method, envelope, caller, round } = asked;
    const read = v.safeParse(retryParams, envelope.params);
    if (!read.success) throw invalid("inputResponses has to be an object, requestState a string");
    const { inputResponses: responses, requestState, ...params } = read.output;
    const binding = { upstream: this.upstream, principal: caller.principal, method, params };
    const state = requestState === undefined ? undefined : this.seal.open(binding, requestState);
    const call =
      state?.kind === "call"
        ? this.resume(state.handle, caller, responses)
        : this.begin(asked, params, responses, state);
    return await this.outcome(asked, binding, call, await call.next(round));
  }

  /** The handle is gone with its first use, so that nothing can be answered twice. */
  private resume(handle: string, { principal }: Caller, responses: Params | undefined): Call {
    const call = this.suspended.take(handle);
    if (!call || call.principal !== principal) throw refused();
    call.answer(responses ?? {});
    return call;
  }

  private begin(asked: Asked, params: Params, responses: Params | undefined, state: Content | undefined): Call {
    const { method, envelope, attached, caller, round } = asked;
    const call = new Call(caller.principal);
    const exchange: Exchange = {
      method,
      params,
      signal: call.signal,
      capabilities: envelope.capabilities,
      ...(round.progress ? { progress: call.progress } : {}),
      ...(round.log ? { log: { level: round.log.level, tell: call.tellLog } } : {}),
      ask: (question, signal) => call.ask(question, envelope.capabilities, signal),
      rounds: true,
      ...(responses || state
        ? { retry: { responses: responses ?? {}, state: state?.kind === "server" ? state.state : undefined } }
        : {}),
    };
    call.start(round, () => attached.attachment.request(exchange));
    return call;
  }

  private async outcome(asked: Asked, binding: Binding, call: Call, outcome: Outcome): Promise<string> {
    if (outcome.kind === "questions") {
      const handle = this.suspended.keep(call);
      if (handle === undefined) throw new Fault("exhausted", "too many calls wait for answers of this client");
      return inputRequired(outcome.questions, this.seal.close(binding, { kind: "call", handle }, CALL_STATE_MS));
    }
    const { reply } = outcome;
    if (reply.kind === "input-required") return this.passed(asked, binding, reply);
    return await resultOf(asked.method, reply, asked.attached);
  }

  /** A modern server's own round: as it is, but for the state. */
  private passed(asked: Asked, binding: Binding, reply: Extract<Reply, { kind: "input-required" }>): string {
    for (const question of Object.values(reply.requests)) {
      const missing = missingCapability(question, asked.envelope.capabilities);
      if (missing === undefined) continue;
      throw new RpcFault({ code: CODE.internal, message: `the server asks for ${missing}, which was not declared` });
    }
    const requestState = this.seal.close(binding, { kind: "server", state: reply.state }, STATE_MS);
    return JSON.stringify({ ...recordOf(reply.result), requestState });
  }
}

function inputRequired(inputRequests: Record<string, Question>, requestState: string): string {
  return JSON.stringify({ resultType: "input_required", inputRequests, requestState });
}
