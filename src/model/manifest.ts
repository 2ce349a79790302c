/**
 * The stored manifest of a server: what it has answered to the questions by which clients begin. Between the front, which
 * reads it off the traffic, and the manager, which keeps it. Questions are fingerprints (src/front/manifest.ts), answers
 * whole JSON-RPC messages with the id 0.
 */
import * as v from "valibot";

/** Answers that are longer are not kept; neither are more than these of one server. */
export const ANSWER_CHARS_MAX = 1024 * 1024;
export const ANSWERS_MAX = 64;

const question = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "expected a SHA-256 in hexadecimal"));
const answer = v.pipe(
  v.string(),
  v.maxLength(ANSWER_CHARS_MAX),
  v.check((text) => isAnswer(text), "expected a JSON-RPC answer with the id 0"),
);

export const manifestAnswers = v.pipe(v.record(question, answer), v.maxEntries(ANSWERS_MAX));
/** By question. */
export type ManifestAnswers = v.InferOutput<typeof manifestAnswers>;

/** Answer of `POST /sessions/manifest`; empty where nothing is known, or the server runs already. */
export const manifestView = v.object({ answers: manifestAnswers });

/** Body of `POST /sessions/:id/manifest`. `null`: the server does not answer like that any more. */
export const manifestNews = v.strictObject({
  answers: v.pipe(v.record(question, v.nullable(answer)), v.maxEntries(ANSWERS_MAX)),
});
export type ManifestNews = v.InferOutput<typeof manifestNews>["answers"];

const message = v.pipe(
  v.string(),
  v.parseJson(),
  v.union([
    v.looseObject({ jsonrpc: v.literal("2.0"), id: v.literal(0), result: v.looseObject({}) }),
    v.looseObject({ jsonrpc: v.literal("2.0"), id: v.literal(0), error: v.looseObject({ code: v.number() }) }),
  ]),
);

function isAnswer(text: string): boolean {
  return v.is(message, text) && !text.includes("\n");
}
