/** What a client hears in the course of a request: progress, and log messages. The same in both eras. */
import type { Exchange } from "../exchange.ts";
import { noteText } from "./message.ts";
import { isWanted, type Level, type Token } from "./meta.ts";

/** Progress must not run backwards (MCP, "progress"): what does not increase is dropped. */
export function progressTo(token: Token | undefined, emit: (text: string) => void): Pick<Exchange, "progress"> {
  if (token === undefined) return {};
  let highest = -Infinity;
  return {
    progress: (step) => {
      if (!(step.progress > highest)) return;
      highest = step.progress;
      emit(noteText({ method: "notifications/progress", params: { progressToken: token, ...step } }));
    },
  };
}

export function logTo(least: Level | undefined, emit: (text: string) => void): Pick<Exchange, "log"> {
  if (least === undefined) return {};
  return {
    log: {
      level: least,
      tell: (params) => {
        if (isWanted(params.level, least)) emit(noteText({ method: "notifications/message", params }));
      },
    },
  };
}
