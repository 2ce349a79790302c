/** The few JSON-RPC messages that the front writes itself. */
import * as v from "valibot";
import type { Fault } from "../base/fault.ts";
import type { ProgressView } from "../model/views.ts";

/** An error answer. `id` is the request's id as JSON text, so that it goes back exactly as it came. */
export function errorAnswer(id: string, fault: Fault): string {
  const error = { code: fault.faces.rpc, message: sentence(fault), data: fault.report() };
  return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}\n`;
}

/** Message and hint as people read them; most clients show nothing but `message`. */
export function sentence({ message, hint }: Fault): string {
  if (hint === undefined) return message;
  // A hint may begin with a command, which must not be capitalised.
  return `${message.replace(/[.\s]+$/, "")}${/^[a-z]/.test(hint) ? ";" : "."} ${hint}`;
}

/** `notifications/progress` for a request that carries a token; `token` as JSON text. */
export function progressNotice(token: string, count: number, { step, detail, current, total }: ProgressView): string {
  const share = current !== undefined && total ? ` (${Math.floor((100 * current) / total)} %)` : "";
  const message = `${step}${detail ? `: ${detail}` : ""}${share}`;
  const params = `{"progressToken":${token},"progress":${count},"message":${JSON.stringify(message)}}`;
  return `{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}\n`;
}

/**
 * Progress tokens of the requests in what a client has sent so far. Progress of one token must not run backwards (MCP,
 * "progress"); the server never reports any on the requests that open a conversation.
 */
export function waitingTokens(buffered: readonly Uint8Array[]): { token: string; opening: boolean }[] {
  const tokens: { token: string; opening: boolean }[] = [];
  for (const line of Buffer.concat(buffered).toString().split("\n")) {
    if (!line.includes("progressToken")) continue;
    const parsed = v.safeParse(waiting, parseJson(line));
    if (!parsed.success) continue;
    const { method, params } = parsed.output;
    tokens.push({ token: JSON.stringify(params._meta.progressToken), opening: OPENING.has(method) });
  }
  return tokens;
}

const OPENING: ReadonlySet<string> = new Set(["initialize", "server/discover"]);
const waiting = v.object({
  id: v.union([v.string(), v.number()]),
  method: v.string(),
  params: v.object({ _meta: v.object({ progressToken: v.union([v.string(), v.number()]) }) }),
});

/** Undefined where the text is no JSON, or only the beginning of some. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
