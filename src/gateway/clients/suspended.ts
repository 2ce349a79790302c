/**
 * Calls of modern clients whose server asks something in the legacy way, with a request of its own. The call goes on
 * waiting at the server; the client is given the questions as a result (`input_required`) and comes again with the
 * answers. Between the rounds a call belongs to nobody's connection, so it has a bound of its own.
 */
import { type Exchange, type Params, type Question, type Reply, RpcFault } from "../exchange.ts";
import { missingCapability } from "./capabilities.ts";
import { CODE } from "./message.ts";

/** Questions that a server asks at the same time travel together. */
const QUIET_MS = 15;
/** For the client's answer, and for the whole call. */
const ROUND_MS = 120_000;
const CALL_MS = 600_000;
const ROUNDS_MAX = 8;
const PER_PRINCIPAL_MAX = 8;
const ALL_MAX = 64;

/** The request of the client that the call is attached to just now. */
export type Round = Pick<Exchange, "progress" | "log" | "signal">;

export type Outcome = { kind: "reply"; reply: Reply } | { kind: "questions"; questions: Record<string, Question> };

interface Pending {
  question: Question;
  resolve(result: Params): void;
  reject(error: Error): void;
}

/** One call of one client, over all its rounds. */
export class Call {
  private readonly ending = new AbortController();
  private readonly pending = new Map<string, Pending>();
  private round: Round | undefined;
  private rounds = 0;
  private count = 0;
  private quiet: ReturnType<typeof setTimeout> | undefined;
  private total: ReturnType<typeof setTimeout> | undefined;
  private wait: PromiseWithResolvers<Outcome> | undefined;
  private outcome: Promise<Reply> | undefined;

  constructor(readonly principal: string) {}

  /** Aborts when the call is given up. */
  get signal(): AbortSignal {
    return this.ending.signal;
  }

  /** What the exchange is given, so that it speaks to whichever round there is. */
  readonly progress: NonNullable<Exchange["progress"]> = (step) => this.round?.progress?.(step);
  readonly tellLog = (params: Params): void => this.round?.log?.tell(params);

  /** As `Exchange.ask`; `declared`: the client's capabilities. */
  ask(question: Question, declared: Params, signal: AbortSignal): Promise<Params> {
    const missing = missingCapability(question, declared);
    if (missing !== undefined) return refuse(CODE.methodNotFound, `the client has not declared ${missing}`);
    if (this.rounds >= ROUNDS_MAX) return refuse(CODE.internal, `the call has asked in ${ROUNDS_MAX} rounds already`);
    if (signal.aborted || this.signal.aborted) return refuse(CODE.internal, "the question was taken back");
    const key = `q${(this.count += 1)}`;
    return new Promise((resolve, reject) => {
      const over = () => {
        this.pending.delete(key);
        signal.removeEventListener("abort", takeBack);
      };
      const takeBack = () => {
        over();
        reject(new RpcFault({ code: CODE.internal, message: "the question was taken back" }));
      };
      signal.addEventListener("abort", takeBack, { once: true });
      this.pending.set(key, {
        question: modernQuestion(question),
        resolve: (result) => (over(), resolve(result)),
        reject: (error) => (over(), reject(error)),
      });
      this.gather();
    });
  }

  /** Begins the call, once. The first round hears what is said before `next`, too. */
  start(round: Round, work: () => Promise<Reply>): void {
    this.round = round;
    const over = () => clearTimeout(this.total);
    this.outcome = work();
    // What it ends with is for the round that asks for it.
    this.outcome.then(over, over);
  }

  /** Attaches the client's request to the call until there is something to answer it with. */
  async next(round: Round): Promise<Outcome> {
    const wait = (this.wait = Promise.withResolvers<Outcome>());
    const cancel = () => this.end();
    this.round = round;
    if (round.signal.aborted) cancel();
    round.signal.addEventListener("abort", cancel, { once: true });
    this.outcome?.then(
      (reply) => wait.resolve({ kind: "reply", reply }),
      (error) => wait.reject(error),
    );
    if (this.pending.size > 0) this.gather();
    try {
      return await wait.promise;
    } finally {
      clearTimeout(this.quiet);
      this.quiet = undefined;
      round.signal.removeEventListener("abort", cancel);
      this.round = undefined;
      this.wait = undefined;
    }
  }

  /** Answers of the client, by the keys of the questions; what was not asked is ignored. */
  answer(responses: Params): void {
    for (const [key, { resolve, reject }] of this.pending) {
      if (!Object.hasOwn(responses, key)) continue;
      const response = responses[key];
      if (isResult(response)) resolve(response);
      else reject(new RpcFault({ code: CODE.invalidParams, message: "the client's answer is no result" }));
    }
  }

  /** The server is told that nobody answers, and that the call is cancelled. */
  end(): void {
    const error = { code: CODE.internal, message: "the client has not answered" };
    for (const { reject } of this.pending.values()) reject(new RpcFault(error));
    this.ending.abort();
  }

  private gather(): void {
    if (!this.wait) return;
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => {
      if (this.pending.size === 0) return;
      this.rounds += 1;
      this.total ??= setTimeout(() => this.end(), CALL_MS);
      const questions = [...this.pending].map(([key, { question }]) => [key, question] as const);
      this.wait?.resolve({ kind: "questions", questions: Object.fromEntries(questions) });
    }, QUIET_MS);
  }
}

/** Calls between two rounds. */
export class Suspended {
  private readonly calls = new Map<string, { call: Call; timer: ReturnType<typeof setTimeout> }>();

  constructor(private readonly roundMs = ROUND_MS) {}

  get size(): number {
    return this.calls.size;
  }

  /** The handle under which the call is found again, once. Undefined where too many wait: the call is ended. */
  keep(call: Call): string | undefined {
    const own = [...this.calls.values()].filter((kept) => kept.call.principal === call.principal).length;
    if (own >= PER_PRINCIPAL_MAX || this.calls.size >= ALL_MAX) {
      call.end();
      return undefined;
    }
    const handle = crypto.randomUUID();
    const timer = setTimeout(() => {
      this.calls.delete(handle);
      call.end();
    }, this.roundMs);
    this.calls.set(handle, { call, timer });
    return handle;
  }

  take(handle: string): Call | undefined {
    const kept = this.calls.get(handle);
    clearTimeout(kept?.timer);
    this.calls.delete(handle);
    return kept?.call;
  }

  close(): void {
    for (const [handle, { call }] of this.calls) {
      this.take(handle);
      call.end();
    }
  }
}

function isResult(value: unknown): value is Params {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(code: number, message: string): Promise<never> {
  return Promise.reject(new RpcFault({ code, message }));
}

/** Without what only the legacy era knows. */
function modernQuestion({ method, params }: Question): Question {
  const { _meta: _, elicitationId: __, task: ___, ...kept } = params;
  return { method, params: kept };
}
