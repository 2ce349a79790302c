/**
 * What a legacy client is asked: requests of our own to it, with ids that no server has chosen. Only the client that was
 * asked can answer, and only once.
 */
import { Fault } from "../../base/fault.ts";
import { type Params, type Question, RpcFault } from "../exchange.ts";
import { missingCapability } from "./capabilities.ts";
import { CODE, type Id, type Message, noteText, questionText } from "./message.ts";
import type { Outlet } from "./outlet.ts";

/** People answer some of them, and think about it first. */
const ANSWER_MS = 600_000;
/** Questions to one client that wait for an answer at the same time. */
const OPEN_MAX = 64;

interface Open {
  resolve(result: Params): void;
  reject(error: Error): void;
}

export class Questions {
  private readonly open = new Map<Id, Open>();
  private count = 0;

  constructor(
    private readonly outlet: Outlet,
    private readonly answerMs = ANSWER_MS,
  ) {}

  /** Rejects with an `RpcFault`: the client's own, or one that says why it was not asked or has not answered. */
  ask(question: Question, declared: Params, about: Id | undefined, signal: AbortSignal): Promise<Params> {
    const missing = missingCapability(question, declared);
    if (missing !== undefined) return refuse(CODE.methodNotFound, `the client has not declared ${missing}`);
    if (this.open.size >= OPEN_MAX)
      return refuse(CODE.internal, `the client has ${OPEN_MAX} questions to answer already`);
    if (signal.aborted) return refuse(CODE.internal, "the question was taken back");
    const id = `gw-${(this.count += 1)}`;
    return new Promise((resolve, reject) => {
      const over = () => {
        this.open.delete(id);
        clearTimeout(timer);
        signal.removeEventListener("abort", takeBack);
      };
      const giveUp = (reason: string) => {
        over();
        const params = { requestId: id, reason };
        this.outlet.send({ text: noteText({ method: "notifications/cancelled", params }), about, kind: "note" });
        reject(new RpcFault({ code: CODE.internal, message: reason }));
      };
      const takeBack = () => giveUp("the question was taken back");
      const timer = setTimeout(() => giveUp(`the client has not answered within ${this.answerMs} ms`), this.answerMs);
      signal.addEventListener("abort", takeBack, { once: true });
      this.open.set(id, {
        resolve: (result) => (over(), resolve(result)),
        reject: (error) => (over(), reject(error)),
      });
      this.outlet.send({ text: questionText(id, legacyQuestion(question)), about, kind: "question" });
    });
  }

  /** An answer of the client; one that nobody waits for is dropped. */
  answered({ id, result, error }: Extract<Message, { kind: "response" }>): void {
    const open = this.open.get(id);
    if (error) open?.reject(new RpcFault(error));
    else open?.resolve(result ?? {});
  }

  /** The client is gone. */
  close(): void {
    const gone = new Fault("cancelled", "the client has gone");
    for (const { reject } of this.open.values()) reject(new RpcFault({ code: gone.faces.rpc, message: gone.message }));
  }
}

function refuse(code: number, message: string): Promise<never> {
  return Promise.reject(new RpcFault({ code, message }));
}

/** The modern era has no `elicitationId`; the legacy one demands it. */
function legacyQuestion({ method, params }: Question): Question {
  const url = method === "elicitation/create" && params.mode === "url" && typeof params.elicitationId !== "string";
  return { method, params: url ? { ...params, elicitationId: crypto.randomUUID() } : params };
}
