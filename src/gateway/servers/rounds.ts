/** The rounds of a modern call that needs answers of the client: what is asked, and how the call goes on or ends. Pure. */
import { isRecord } from "../clients/message.ts";
import { Fault } from "../../base/fault.ts";
import { type Exchange, Json, type Params, type Question, type Reply } from "../exchange.ts";
import type { Answer } from "./conversation.ts";
import { member } from "./message.ts";
import { errorOf, questionOf } from "./questions.ts";

/** Questions of one round. */
const QUESTIONS_MAX = 64;
/** The extension that has a kind of result of its own. */
const TASKS = "io.modelcontextprotocol/tasks";

export interface Asked {
  questions: [string, Question][];
  state: string | undefined;
  result: Json;
}

/** Undefined for every other answer. Questions that are none of those that the era knows stand as they are. */
export function askedBy(answer: Answer): Asked | undefined {
  if ("error" in answer) return undefined;
  const { result } = answer;
  const { value } = result;
  if (!isRecord(value) || value.resultType !== "input_required") return undefined;
  const listed = Object.entries(member(value, "inputRequests")).slice(0, QUESTIONS_MAX);
  const questions = listed.map(([key, one]): [string, Question] => {
    const params = isRecord(one) ? member(one, "params") : {};
    const question = questionOf(isRecord(one) ? one.method : undefined, params);
    if (!question) throw new Fault("server-failed", "the server asks for something that no client knows");
    return [key, question];
  });
  return { questions, state: typeof value.requestState === "string" ? value.requestState : undefined, result };
}

export async function answersTo(questions: [string, Question][], exchange: Exchange): Promise<Params> {
  // When one is refused nobody needs the answers to the others.
  const enough = new AbortController();
  const signal = AbortSignal.any([exchange.signal, enough.signal]);
  try {
    const answers = await Promise.all(
      questions.map(async ([key, question]) => [key, (await exchange.ask?.(question, signal)) ?? {}] as const),
    );
    return Object.fromEntries(answers);
  } finally {
    enough.abort();
  }
}

export function replyOf(answer: Answer, { capabilities }: Exchange): Reply {
  if ("error" in answer) return { kind: "error", error: answer.error };
  const { result } = answer;
  const { value } = result;
  const type = isRecord(value) ? value.resultType : undefined;
  if (type === "complete") return { kind: "result", era: "modern", result };
  // The specification asks to read it so; clients are stricter.
  if (type === undefined && isRecord(value)) {
    return { kind: "result", era: "modern", result: Json.of({ ...value, resultType: "complete" }) };
  }
  if (type === "task" && isRecord(member(capabilities, "extensions")[TASKS])) {
    return { kind: "result", era: "modern", result };
  }
  return {
    kind: "error",
    error: { code: -32603, message: "the server answered with a kind of result that was not asked for" },
  };
}

export function undeclared(exchange: Exchange, { method }: Question): Reply {
  const message = `the server asks for ${method}, which this client cannot do`;
  if (exchange.rounds) return { kind: "error", error: { code: -32603, message } };
  return failed(exchange.method, message);
}

/** How a call ends that cannot go on: a model is to read it where a tool was called. */
export function failed(method: string, message: string, error?: unknown): Reply {
  if (method !== "tools/call") return { kind: "error", error: error ? errorOf(error) : { code: -32603, message } };
  const content = [{ type: "text", text: message }];
  return { kind: "result", era: "modern", result: Json.of({ resultType: "complete", content, isError: true }) };
}

/** Progress has to increase, and a call that is sent again may begin anew. */
export function rising(progress: Exchange["progress"]): Exchange["progress"] {
  if (!progress) return undefined;
  let highest = -Infinity;
  return (step) => {
    if (step.progress <= highest) return;
    highest = step.progress;
    progress(step);
  };
}

export function withAnswers(
  params: Params,
  _meta: Params,
  inputResponses: Params | undefined,
  requestState: string | undefined,
): Params {
  return {
    ...params,
    _meta,
    ...(inputResponses ? { inputResponses } : {}),
    ...(requestState === undefined ? {} : { requestState }),
  };
}
